"""A language model on top of an encoder: it predicts words of a review from those before them.

    network = LanguageModel(config.model, 20_000, seed=0, kernel=keras_kernel, distant=True)
    states = network.states(tokens, lengths, dropout=DropoutKey(...))
    found = network.next_words(states, tokens, lengths)
    logits = network.logits(found)                              # of all words
    logits = network.logits_of(found, candidates)               # of some words
    found = network.distant_words(states, tokens, lengths, DropoutKey(...), distance=20)

In both directions the second one predicts each word from those behind it. The embedding is the
output layer too (Press and Wolf 2017, arXiv:1608.05859; Inan et al. 2017, arXiv:1611.01462).
Distant words have a projection and a bias of their own.

The attributes `projection`, `output_bias`, `distant_projection` and `distant_bias` name the
variables in checkpoints, beside those of the encoder, which a classifier can take over.
"""

from collections.abc import Iterator
from typing import NamedTuple

import keras
import ml_collections
import tensorflow as tf

from trainer.model.dropout import DropoutKey, drawn_number
from trainer.model.kernels import Kernel
from trainer.model.network import Encoder, initial_seeds


class Predictions(NamedTuple):
    """What a language model says of a batch: at each place a word, and what it follows from.

    The places of the second direction come behind those of the first.
    """

    features: tf.Tensor  # <float32>[batch, places, width], to compare with the words' embeddings
    bias: tf.Tensor  # <float32>[ids, 1], what the logit of each word has beside that
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
        distant: bool = False,
    ):
        """Creates the variables.

        Args:
            config: the `model` part of a config; with `bidirectional`, of one layer.
            vocabulary_size: number of token ids.
            seed: decides the initial weights.
            kernel: computes the recurrence of a layer.
            distant: whether it predicts distant words too.
        """
        directions = 2 if config.bidirectional else 1
        matrices = 1 + directions * (2 * len(config.layer_sizes) + 2)
        seeds = initial_seeds(seed, matrices)
        super().__init__(config, vocabulary_size, seeds, kernel)
        self.vocabulary_size = vocabulary_size
        units, width = self.size // directions, config.embedding_size
        # One for each direction; none where the sizes fit as they are.
        self.projection: list[keras.layers.Dense] = []
        for _ in range(directions if units != width else 0):
            self.projection.append(_projection(units, width, seeds))
        self.output_bias = _bias(vocabulary_size)
        self.distant_projection: list[keras.layers.Dense] = []
        self.distant_bias = None
        if distant:
            for _ in range(directions):
                self.distant_projection.append(_projection(units, width, seeds))
            self.distant_bias = _bias(vocabulary_size)

    def states(
        self, tokens: tf.Tensor, lengths: tf.Tensor, dropout: DropoutKey | None = None
    ) -> list[tf.Tensor]:
        """Returns the states <float32>[batch, places, units] of each direction that predict.

        A place is a state and the word that comes next, in the second direction the one before. The
        ids are <int32>[batch, time], of which a review has <int32>[batch].
        """
        states = self(self.embed(tokens, dropout), lengths, dropout).tokens
        # The state after a word has read that word and all before it; in the second direction, all
        # behind it.
        ahead, *back = tf.split(tf.cast(states, tf.float32), 2 if self.backward else 1, axis=-1)
        return [ahead[:, :-1], *(states[:, 1:] for states in back)]

    def next_words(
        self, states: list[tf.Tensor], tokens: tf.Tensor, lengths: tf.Tensor
    ) -> Predictions:
        """Returns what the states of ids <int32>[batch, time] say of the words that come next."""
        words = [tokens[:, 1:], tokens[:, :-1]][: len(states)]
        features = _projected(states, self.projection)
        return self._predictions(features, self.output_bias, tf.concat(words, axis=1), lengths)

    def distant_words(
        self,
        states: list[tf.Tensor],
        tokens: tf.Tensor,
        lengths: tf.Tensor,
        key: DropoutKey,
        distance: int,
    ) -> Predictions:
        """Returns what they say of a word that comes soon, drawn by the key for each place.

        It is one of the next `distance` words, or of as many as there are.
        """
        time = tf.shape(tokens)[1]
        steps = tf.range(time - 1)
        known = lengths[:, tf.newaxis] - 1 - steps  # how many words follow
        ahead = steps + drawn_number(key, 0, steps, tf.clip_by_value(known, 1, distance)) + 1
        places = [tf.minimum(ahead, time - 1)]
        if self.backward:
            limits = tf.minimum(steps + 1, distance)[tf.newaxis]
            places.append(steps - drawn_number(key, 1, steps, limits))
        words = tf.gather(tokens, tf.concat(places, axis=1), batch_dims=1)
        features = _projected(states, self.distant_projection)
        return self._predictions(features, self.distant_bias, words, lengths)

    def logits(self, found: Predictions) -> tf.Tensor:
        """Returns the logits <float32>[batch, places, ids - 1] of all ids from 1 on.

        These are all words.
        """
        table = self.embedding.embeddings.value
        return _products(found.features, table[1:]) + found.bias[1:, 0]

    def logits_of(self, found: Predictions, ids: tf.Tensor) -> tf.Tensor:
        """Returns the logits <float32>[batch, places, n] of the same ids <int32>[n] everywhere."""
        rows = tf.gather(self.embedding.embeddings.value, ids)
        return _products(found.features, rows) + tf.gather(found.bias, ids)[..., 0]

    def logits_of_words(self, found: Predictions) -> tf.Tensor:
        """Returns the logits <float32>[batch, places] of the words themselves."""
        rows = tf.gather(self.embedding.embeddings.value, found.words)
        products = tf.reduce_sum(found.features * rows, axis=-1)
        return products + tf.gather(found.bias, found.words)[..., 0]

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """All layers in the order of their weights."""
        distant = [self.distant_bias] if self.distant_bias else []
        next_word = [*self.projection, self.output_bias]
        return [*super().layers, *next_word, *self.distant_projection, *distant]

    @property
    def biases(self) -> list[bool]:
        """Which of `weights` are biases: the tables of `_bias` too."""
        tables = [
            layer.embeddings.value for layer in (self.output_bias, self.distant_bias) if layer
        ]
        return [
            is_bias or any(weight is table for table in tables)
            for weight, is_bias in zip(self.weights, super().biases, strict=True)
        ]

    def _predictions(
        self,
        features: tf.Tensor,
        bias: keras.layers.Embedding,
        words: tf.Tensor,
        lengths: tf.Tensor,
    ) -> Predictions:
        directions = 2 if self.backward else 1
        places = tf.shape(words)[1] // directions
        counted = tf.sequence_mask(lengths - 1, places, tf.float32)
        counted = tf.concat([counted] * directions, axis=1)
        return Predictions(features, bias.embeddings.value, words, counted)


def _projection(units: int, width: int, seeds: Iterator[int]) -> keras.layers.Dense:
    initializer = keras.initializers.GlorotUniform(next(seeds))
    layer = keras.layers.Dense(width, kernel_initializer=initializer)
    layer.build((None, units))
    return layer


def _bias(vocabulary_size: int) -> keras.layers.Embedding:
    """Returns a table of one number for each word.

    So its gradient is sparse, as the embedding's is.
    """
    layer = keras.layers.Embedding(
        vocabulary_size, 1, embeddings_initializer="zeros", dtype="float32"
    )
    layer.build((None,))
    return layer


def _projected(states: list[tf.Tensor], projection: list[keras.layers.Dense]) -> tf.Tensor:
    """Returns features <float32>[batch, places, width] of states [batch, places, units].

    These are of each direction; a direction has its own projection, or all have none.
    """
    if projection:
        states = [
            _products(part, tf.transpose(layer.kernel.value)) + layer.bias.value
            for part, layer in zip(states, projection, strict=True)
        ]
    return tf.concat(states, axis=1)


def _products(values: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Returns the products <float32>[..., n] of values [..., width] with rows [n, width].

    As a product of two matrices: that of a batch would have a gradient of the rows for each review.
    """
    products = tf.matmul(tf.reshape(values, [-1, values.shape[-1]]), rows, transpose_b=True)
    return tf.reshape(products, tf.concat([tf.shape(values)[:-1], tf.shape(rows)[:1]], axis=0))
