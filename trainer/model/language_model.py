"""A language model on top of an encoder: it predicts each word of a review from those before it.

    network = LanguageModel(config.model, 20_000, seed=0, kernel=keras_kernel)
    found = network.predictions(tokens, lengths, dropout=DropoutKey(...))
    logits = network.logits(found.features)                     # of all words
    logits = network.logits_of(found.features, candidates)      # of some words

In both directions the second one predicts each word from those behind it. The embedding is the
output layer too (Press and Wolf 2017, arXiv:1608.05859; Inan et al. 2017, arXiv:1611.01462).

The attributes `projection` and `output_bias` name the variables in checkpoints, beside those of the
encoder, which a classifier can take over.
"""

from typing import NamedTuple

import keras
import ml_collections
import tensorflow as tf

from trainer.model.dropout import DropoutKey
from trainer.model.kernels import Kernel
from trainer.model.network import Encoder, initial_seeds


class Predictions(NamedTuple):
    """What a language model says of a batch: at each place a word, and what it follows from.

    The places of the second direction come behind those of the first.
    """

    features: tf.Tensor  # <float32>[batch, places, width], to compare with the words' embeddings
    words: tf.Tensor  # ids <int32>[batch, places], padding where there is no word
    counted: tf.Tensor  # <float32>[batch, places], 1.0 where there is one, else 0.0


class LanguageModel(Encoder):
    """An encoder, and an output layer that shares its embedding."""

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        vocabulary_size: int,
        seed: int,
        kernel: Kernel,
    ):
        """Creates the variables.

        Args:
            config: the `model` part of a config; with `bidirectional`, of one layer.
            vocabulary_size: number of token ids.
            seed: decides the initial weights.
            kernel: computes the recurrence of a layer.
        """
        directions = 2 if config.bidirectional else 1
        matrices = 1 + directions * (2 * len(config.layer_sizes) + 1)
        seeds = initial_seeds(seed, matrices)
        super().__init__(config, vocabulary_size, seeds, kernel)
        self.vocabulary_size = vocabulary_size
        units, width = self.size // directions, config.embedding_size
        # One for each direction; none where the sizes fit as they are.
        self.projection: list[keras.layers.Dense] = []
        for _ in range(directions if units != width else 0):
            initializer = keras.initializers.GlorotUniform(next(seeds))
            layer = keras.layers.Dense(width, kernel_initializer=initializer)
            layer.build((None, units))
            self.projection.append(layer)
        # A table of one number for each word, so that its gradient is sparse as the embedding's is.
        self.output_bias = keras.layers.Embedding(
            vocabulary_size, 1, embeddings_initializer="zeros", dtype="float32"
        )
        self.output_bias.build((None,))

    def predictions(
        self, tokens: tf.Tensor, lengths: tf.Tensor, dropout: DropoutKey | None = None
    ) -> Predictions:
        """Returns what follows from the ids <int32>[batch, time] of <int32>[batch] tokens each."""
        states = self(self.embed(tokens, dropout), lengths, dropout).tokens
        # The state after a word has read that word and all before it; in the second direction, all
        # behind it.
        ahead, *back = tf.split(states, 2 if self.backward else 1, axis=-1)
        features, words = [self._projected(ahead[:, :-1], 0)], [tokens[:, 1:]]
        if back:
            features.append(self._projected(back[0][:, 1:], 1))
            words.append(tokens[:, :-1])
        counted = tf.sequence_mask(lengths - 1, tf.shape(tokens)[1] - 1, tf.float32)
        return Predictions(
            tf.concat(features, axis=1),
            tf.concat(words, axis=1),
            tf.concat([counted] * len(words), axis=1),
        )

    def logits(self, features: tf.Tensor) -> tf.Tensor:
        """Returns the logits <float32>[..., ids - 1] of all ids from 1 on, which are all words.

        `features` are <float32>[..., width].
        """
        table, bias = self.embedding.embeddings.value, self.output_bias.embeddings.value
        return _products(features, table[1:]) + bias[1:, 0]

    def logits_of(self, features: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
        """Returns the logits <float32>[..., n] of the same ids <int32>[n] at every place."""
        rows, bias = self._output_rows(ids)
        return _products(features, rows) + bias

    def logit_of_each(self, features: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
        """Returns the logits <float32>[...] of one id <int32>[...] at each place."""
        rows, bias = self._output_rows(ids)
        return tf.reduce_sum(features * rows, axis=-1) + bias

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """All layers in the order of their weights."""
        return [*super().layers, *self.projection, self.output_bias]

    def _projected(self, states: tf.Tensor, direction: int) -> tf.Tensor:
        """Returns features <float32>[batch, time, width] of states <dtype>[batch, time, units]."""
        states = tf.cast(states, tf.float32)
        if not self.projection:
            return states
        layer = self.projection[direction]
        return _products(states, tf.transpose(layer.kernel.value)) + layer.bias.value

    def _output_rows(self, ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns what the output layer has for ids: <float32>[..., width] and <float32>[...]."""
        rows = tf.gather(self.embedding.embeddings.value, ids)
        return rows, tf.gather(self.output_bias.embeddings.value, ids)[..., 0]


def _products(values: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Returns the products <float32>[..., n] of values [..., width] with rows [n, width].

    As a product of two matrices: that of a batch would have a gradient of the rows for each review.
    """
    products = tf.matmul(tf.reshape(values, [-1, values.shape[-1]]), rows, transpose_b=True)
    return tf.reshape(products, tf.concat([tf.shape(values)[:-1], tf.shape(rows)[:1]], axis=0))
