"""The networks: an encoder of embedding and LSTM layers, and a classifier on top of it.

    network = Classifier(config.model, 20_000, labels=2, seed=0, kernel=keras_kernel)
    logits = network.logits(network.inputs(tokens), lengths)                # evaluation
    inputs = network.inputs(tokens, dropout=key)                            # training
    logits = network.logits(inputs, lengths, dropout=key)

`key` is a `DropoutKey`. Any tensors may stand in the place of `inputs`.

Reviews are padded at the right and no mask is used. The layers run over the padding as well, and
pooling reads only the slots before it, so a review's logit does not depend on the width of its
batch. In segments, see `segments`, it does not either.

The attributes `embedding`, `forward`, `backward`, `head`, `attention` and `wide` name the variables
in checkpoints.
"""

import copy
from collections.abc import Iterator
from typing import NamedTuple, TypeVar

import keras
import ml_collections
import numpy as np
import tensorflow as tf

from trainer.model import dropout as dropouts
from trainer.model.dropout import DropoutKey
from trainer.model.kernels import Kernel
from trainer.model.pooling import Attention, features_of, pooled
from trainer.model.segments import Segments
from trainer.model.wide import Wide

_Network = TypeVar("_Network", bound="Encoder")


class States(NamedTuple):
    """What an encoder makes of a batch, in the dtype of its layers."""

    tokens: tf.Tensor  # <dtype>[batch, time, size], the last layer's states
    ends: tf.Tensor  # <dtype>[batch, size], its state after each review's last token


class Inputs(NamedTuple):
    """What a classifier reads of a batch."""

    embedded: tf.Tensor  # <dtype>[batch, time, width]
    # What each token adds to the logits in the wide part <float32>[batch, time, outputs], or None.
    wide: tf.Tensor | None = None


class Encoder(tf.Module):
    """An embedding and a stack of LSTM layers, in one or both directions."""

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        vocabulary_size: int,
        seeds: Iterator[int],
        kernel: Kernel,
    ):
        """Creates the variables.

        Args:
            config: the `model` part of a config.
            vocabulary_size: number of token ids.
            seeds: one for each weight matrix that is made, see `initial_seeds`.
            kernel: computes the recurrence of a layer.
        """
        super().__init__()
        self._dropout, self._recurrent_dropout = config.dropout, config.recurrent_dropout
        self._word_dropout = config.word_dropout
        self._embedding_dropout = config.embedding_dropout
        self.segments = Segments(config.segment_tokens, config.segment_overlap)
        self._kernel = kernel
        policy = config.precision if config.precision == "float32" else f"mixed_{config.precision}"
        self.size = config.embedding_size  # of the states, below
        self.embedding = keras.layers.Embedding(
            vocabulary_size,
            self.size,
            embeddings_initializer=keras.initializers.RandomUniform(-0.05, 0.05, next(seeds)),
            dtype=policy,
        )
        self.embedding.build((None, None))
        self.forward: list[keras.layers.LSTM] = []
        self.backward: list[keras.layers.LSTM] = []
        directions = (self.forward, self.backward) if config.bidirectional else (self.forward,)
        for units in config.layer_sizes:
            for direction in directions:
                direction.append(_lstm(units, self.size, seeds, policy))
            self.size = units * len(directions)

    def embed(self, tokens: tf.Tensor, dropout: DropoutKey | None = None) -> tf.Tensor:
        """Returns the embedding <dtype>[batch, time, width] of ids <int32>[batch, time].

        With the key, in training, some words become unknown, and the embeddings of some are 0.
        """
        if dropout is not None and self._word_dropout:
            tokens = dropouts.with_unknown(dropout, tokens, self._word_dropout)
        embedded = self.embedding(tokens)
        if dropout is not None and self._embedding_dropout:
            factors = dropouts.word_mask(dropout, tokens, self._embedding_dropout)
            embedded *= tf.cast(factors, embedded.dtype)[:, :, tf.newaxis]
        return embedded

    def __call__(
        self, embedded: tf.Tensor, lengths: tf.Tensor, dropout: DropoutKey | None = None
    ) -> States:
        """Encodes embedded reviews <dtype>[batch, time, width] of <int32>[batch] tokens each."""
        states = _times(embedded, self._mask(0, dropout, embedded))
        for layer, forward in enumerate(self.forward):
            outputs = self._read(forward, 2 * layer, states, dropout)
            ends = [_at(outputs, lengths - 1)]
            if self.backward:
                reverse = tf.reverse_sequence(states, lengths, seq_axis=1)
                reverse = self._read(self.backward[layer], 2 * layer + 1, reverse, dropout)
                ends.append(_at(reverse, lengths - 1))
                reverse = tf.reverse_sequence(reverse, lengths, seq_axis=1)
                outputs = tf.concat([outputs, reverse], axis=-1)
            mask = self._mask(layer + 1, dropout, outputs)
            states = _times(outputs, mask)
        return States(states, _times(tf.concat(ends, axis=-1), mask))

    def with_kernel(self: _Network, kernel: Kernel) -> _Network:
        """Returns a network with the same variables whose recurrences another kernel computes."""
        network = copy.copy(self)
        network._kernel = kernel
        return network

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """All layers in the order of their weights."""
        return [self.embedding, *self.forward, *self.backward]

    @property
    def weights(self) -> list[tf.Variable]:
        """All variables, as TensorFlow's own, which know their replicas."""
        return [variable.value for layer in self.layers for variable in layer.trainable_variables]

    @property
    def depths(self) -> list[int]:
        """How many layers below the head each of `weights` is; 0 for the head and beside it."""
        depths = {self.embedding: len(self.forward) + 1}
        for direction in (self.forward, self.backward):
            depths.update((layer, len(direction) - at) for at, layer in enumerate(direction))
        return [depths.get(layer, 0) for layer in self.layers for _ in layer.trainable_variables]

    @property
    def biases(self) -> list[bool]:
        """Which of `weights` are biases."""
        return [len(weight.shape) == 1 for weight in self.weights]

    @property
    def constants(self) -> list[tf.Variable]:
        """All variables that a training sets once."""
        return []

    def _read(
        self,
        layer: keras.layers.LSTM,
        number: int,
        inputs: tf.Tensor,
        dropout: DropoutKey | None,
    ) -> tf.Tensor:
        """Returns the states <dtype>[batch, time, units] of a layer in one direction.

        `inputs` are <dtype>[batch, time, width]; by its `number` a layer has masks of its own.
        """
        recurrent = None
        if dropout is not None and self._recurrent_dropout:
            own = layer.cell.recurrent_kernel.value
            rate = self._recurrent_dropout
            recurrent = own * dropouts.weight_mask(dropout, number, own.shape, rate)
        segments = self.segments.split(inputs)
        states = self._kernel(layer, segments, dropout is not None, recurrent)
        return self.segments.joined(states, inputs.shape[1] or tf.shape(inputs)[1])

    def _mask(self, layer: int, key: DropoutKey | None, values: tf.Tensor) -> tf.Tensor | None:
        """Returns what to multiply the outputs of a layer with <dtype>[batch, units], or None.

        `values` <dtype>[batch, time, units] are the outputs.
        """
        if key is None or not self._dropout:
            return None
        return tf.cast(dropouts.mask(key, layer, values.shape[-1], self._dropout), values.dtype)


class Classifier(Encoder):
    """An encoder with pooling and a dense layer: with two labels one logit a review, else one each.

    With two labels the logit's sigmoid is the probability of label 1, which is the positive one.
    """

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        vocabulary_size: int,
        labels: int,
        seed: int,
        kernel: Kernel,
    ):
        """Creates the variables.

        Args:
            config: the `model` part of a config.
            vocabulary_size: number of token ids.
            labels: number of labels, at least 2.
            seed: decides the initial weights.
            kernel: computes the recurrence of a layer.
        """
        layers = len(config.layer_sizes) * (2 if config.bidirectional else 1)
        seeds = initial_seeds(seed, matrices=4 + 2 * layers)
        super().__init__(config, vocabulary_size, seeds, kernel)
        self._pooling = config.pooling
        self._labels = labels
        outputs = 1 if labels == 2 else labels
        self.head = keras.layers.Dense(
            outputs,
            kernel_initializer=keras.initializers.GlorotUniform(next(seeds)),
        )
        self.head.build((None, features_of(config.pooling, self.size)))
        is_weighted = config.pooling == "attention"
        self.attention = Attention(self.size, seeds) if is_weighted else None
        self.wide = Wide(config, outputs) if config.wide_buckets else None
        self._wide_dropout = config.wide_dropout

    def inputs(self, tokens: tf.Tensor, dropout: DropoutKey | None = None) -> Inputs:
        """Returns what the classifier reads of ids <int32>[batch, time].

        Training gives the key here too, for the masks of `embed`. The wide part reads all tokens:
        `logits` has a dropout for it.
        """
        return Inputs(self.embed(tokens, dropout), self.wide(tokens) if self.wide else None)

    def logits(
        self, inputs: Inputs, lengths: tf.Tensor, dropout: DropoutKey | None = None
    ) -> tf.Tensor:
        """Returns the logits of reviews of <int32>[batch] tokens each.

        They are <float32>[batch] of two labels, of more <float32>[batch, labels].
        """
        states = self(inputs.embedded, lengths, dropout)
        logits = self.head(pooled(self._pooling, *states, lengths, self.attention))
        if inputs.wide is not None:
            wide = inputs.wide
            if dropout is not None and self._wide_dropout:
                time = tf.shape(wide)[1]
                factors = dropouts.mask(dropout, dropouts.WIDE, time, self._wide_dropout)
                wide *= factors[:, :, tf.newaxis]
            logits += tf.reduce_sum(wide, axis=1)
        return logits[:, 0] if self._labels == 2 else logits

    def probabilities(self, inputs: Inputs, lengths: tf.Tensor) -> tf.Tensor:
        """Returns the probability of each label <float32>[batch, labels]; see `logits`."""
        logits = self.logits(inputs, lengths)
        if self._labels == 2:
            return tf.stack([tf.sigmoid(-logits), tf.sigmoid(logits)], axis=-1)
        return tf.nn.softmax(logits)

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """All layers in the order of their weights."""
        attention = self.attention.layers if self.attention else []
        wide = [self.wide.layer] if self.wide else []
        return [*super().layers, self.head, *attention, *wide]

    @property
    def constants(self) -> list[tf.Variable]:
        """All variables that a training sets once."""
        return [self.wide.ratios] if self.wide else []


def initial_seeds(seed: int, matrices: int) -> Iterator[int]:
    """Returns a seed for each weight matrix; NumPy promises that they never change."""
    return map(int, np.random.SeedSequence(seed).generate_state(matrices))


def _lstm(units: int, inputs: int, seeds: Iterator[int], policy: str) -> keras.layers.LSTM:
    layer = keras.layers.LSTM(
        units,
        return_sequences=True,
        kernel_initializer=keras.initializers.GlorotUniform(next(seeds)),
        recurrent_initializer=keras.initializers.Orthogonal(seed=next(seeds)),
        dtype=policy,
    )
    layer.build((None, None, inputs))
    return layer


def _times(values: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
    """Applies a mask [batch, units] to [batch, ..., units], the same for all tokens of a review."""
    if mask is None:
        return values
    return values * (mask if len(values.shape) == 2 else mask[:, None, :])


def _at(states: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
    """Returns states [batch, units] of [batch, time, units], one position <int32>[batch] a row."""
    return tf.gather(states, positions, batch_dims=1)
