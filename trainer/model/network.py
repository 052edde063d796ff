"""The network: embedding, a stack of LSTM layers, pooling over the words, one logit.

    model = StackedLSTM(config.model, vocabulary_size=20_000, seed=0)
    logits = model(tokens, lengths)                         # evaluation
    logits = model(tokens, lengths, dropout=DropoutKey(...))  # training

Reviews are padded at the right and no mask is used: the layers run over the padding, and pooling
reads only what comes before it, so a review's logit does not depend on the width of its batch.
"""

import keras
import ml_collections
import numpy as np
import tensorflow as tf

from trainer.machines.strategy import needs_static_shapes
from trainer.model import xla_lstm
from trainer.model.dropout import DropoutKey, mask


class StackedLSTM(tf.Module):
    """One logit <float32>[batch] per review; its sigmoid is the probability of a positive one."""

    def __init__(self, config: ml_collections.ConfigDict, vocabulary_size: int, seed: int):
        """`config` is the `model` part of a config; `seed` decides the initial weights."""
        super().__init__()
        self._dropout = config.dropout
        on_tpu = needs_static_shapes(tf.distribute.get_strategy())
        self._kernel = ("xla" if on_tpu else "keras") if config.kernel == "auto" else config.kernel
        self._pooling = config.pooling
        # A seed for each matrix; NumPy promises never to change them.
        matrices = 2 + 4 * len(config.layer_sizes)
        seeds = map(int, np.random.SeedSequence(seed).generate_state(matrices))
        policy = config.precision if config.precision == "float32" else f"mixed_{config.precision}"
        size = config.embedding_size
        self.embedding = keras.layers.Embedding(
            vocabulary_size,
            size,
            embeddings_initializer=keras.initializers.RandomUniform(-0.05, 0.05, next(seeds)),
            dtype=policy,
        )
        self.embedding.build((None, None))
        self.forward, self.backward = [], []
        directions = (self.forward, self.backward) if config.bidirectional else (self.forward,)
        for units in config.layer_sizes:
            for direction in directions:
                direction.append(_lstm(units, size, seeds, policy))
            size = units * len(directions)
        pooled = size * (3 if config.pooling == "concat" else 1)
        self.head = keras.layers.Dense(
            1, kernel_initializer=keras.initializers.GlorotUniform(next(seeds))
        )
        self.head.build((None, pooled))

    def __call__(
        self, tokens: tf.Tensor, lengths: tf.Tensor, dropout: DropoutKey | None = None
    ) -> tf.Tensor:
        """Logits <float32>[batch] of ids <int32>[batch, time] with <int32>[batch] words each."""
        states = self._drop(self.embedding(tokens), 0, dropout)
        for layer, forward in enumerate(self.forward):
            outputs = self._recur(forward, states)
            ends = [_at(outputs, lengths - 1)]
            if self.backward:
                reverse = tf.reverse_sequence(states, lengths, seq_axis=1)
                reverse = self._recur(self.backward[layer], reverse)
                ends.append(_at(reverse, lengths - 1))
                reverse = tf.reverse_sequence(reverse, lengths, seq_axis=1)
                outputs = tf.concat([outputs, reverse], axis=-1)
            states = self._drop(outputs, layer + 1, dropout)
        last = self._drop(tf.concat(ends, axis=-1), len(self.forward), dropout)
        return self.head(self._pool(states, last, lengths))[:, 0]

    @property
    def weights(self) -> list[tf.Variable]:
        """All variables, as TensorFlow's own, which know their replicas."""
        layers = (self.embedding, *self.forward, *self.backward, self.head)
        return [variable.value for layer in layers for variable in layer.trainable_variables]

    def _recur(self, layer: keras.layers.LSTM, states: tf.Tensor) -> tf.Tensor:
        """A layer's states <dtype>[batch, time, units]."""
        if self._kernel == "keras":
            return layer(states)
        cell = layer.cell
        weights = (cell.kernel, cell.recurrent_kernel, cell.bias)
        return xla_lstm.lstm(states, *(weight.value for weight in weights))

    def _drop(self, values: tf.Tensor, layer: int, key: DropoutKey | None) -> tf.Tensor:
        """Dropout on <dtype>[batch, ..., units], one mask for all words of a review."""
        if key is None or not self._dropout:
            return values
        factors = tf.cast(mask(key, layer, values.shape[-1], self._dropout), values.dtype)
        return values * (factors if len(values.shape) == 2 else factors[:, None, :])

    def _pool(self, states: tf.Tensor, last: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        """Features <float32>[batch, features] of the last layer's states, padding left out."""
        if self._pooling == "last":
            return tf.cast(last, tf.float32)
        states = tf.cast(states, tf.float32)
        valid = tf.sequence_mask(lengths, tf.shape(states)[1])[:, :, None]
        parts = {"last": lambda: tf.cast(last, tf.float32)}
        parts["max"] = lambda: tf.reduce_max(tf.where(valid, states, states.dtype.min), axis=1)
        parts["mean"] = lambda: (
            tf.reduce_sum(tf.where(valid, states, 0.0), axis=1)
            / tf.cast(lengths[:, None], tf.float32)
        )
        # The concatenation is that of ULMFiT (Howard and Ruder 2018, arXiv:1801.06146).
        names = ("last", "max", "mean") if self._pooling == "concat" else (self._pooling,)
        return tf.concat([parts[name]() for name in names], axis=-1)


def _lstm(units: int, inputs: int, seeds, policy: str) -> keras.layers.LSTM:
    layer = keras.layers.LSTM(
        units,
        return_sequences=True,
        kernel_initializer=keras.initializers.GlorotUniform(next(seeds)),
        recurrent_initializer=keras.initializers.Orthogonal(seed=next(seeds)),
        dtype=policy,
    )
    layer.build((None, None, inputs))
    return layer


def _at(states: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
    """States [batch, units] of [batch, time, units] at one position <int32>[batch] a row."""
    return tf.gather(states, positions, batch_dims=1)
