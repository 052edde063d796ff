"""Pooling: from the states of a review's words to the features that its logit is computed from.

    features = pooled("mean", states.tokens, states.ends, lengths)      # <float32>[batch, features]

No padding takes part in it.
"""

from collections.abc import Iterator

import keras
import tensorflow as tf

# Those of 'concat', as in ULMFiT (Howard and Ruder 2018, arXiv:1801.06146).
_CONCATENATED = ("last", "max", "mean")


class Attention(tf.Module):
    """A mean of states that weighs each word by what a learned query makes of its state.

    With h the state of a word, its weight is the softmax of u . tanh(W h + b) over the words of its
    review: the word attention of Yang et al. 2016 (https://aclanthology.org/N16-1174).
    """

    def __init__(self, size: int, seeds: Iterator[int]):
        """`size` is that of the states; two of the `seeds` are taken."""
        super().__init__()
        first, second = (keras.initializers.GlorotUniform(next(seeds)) for _ in range(2))
        self.hidden = keras.layers.Dense(size, activation="tanh", kernel_initializer=first)
        self.query = keras.layers.Dense(1, use_bias=False, kernel_initializer=second)
        for layer in self.layers:
            layer.build((None, size))

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """The layers in the order of their weights."""
        return [self.hidden, self.query]

    def __call__(self, states: tf.Tensor, is_token: tf.Tensor) -> tf.Tensor:
        """Returns the mean <float32>[batch, size] of `states` <float32>[batch, time, size].

        `is_token` <bool>[batch, time, 1] is False for padding, whose weight is 0.
        """
        # Flat: of three dimensions the gradients would lose the weights' static shape.
        flat = tf.reshape(states, [-1, states.shape[2]])
        scores = tf.reshape(self.query(self.hidden(flat)), tf.shape(is_token))
        weights = tf.nn.softmax(tf.where(is_token, scores, tf.float32.min), axis=1)
        return tf.reduce_sum(weights * states, axis=1)


def features_of(pooling: str, size: int) -> int:
    """Returns the number of features that `model.pooling` makes of states of a size."""
    return size * (len(_CONCATENATED) if pooling == "concat" else 1)


def pooled(
    pooling: str,
    tokens: tf.Tensor,
    ends: tf.Tensor,
    lengths: tf.Tensor,
    attention: Attention | None = None,
) -> tf.Tensor:
    """Returns features <float32>[batch, features].

    Args:
        pooling: as in `model.pooling`.
        tokens: the words' states <dtype>[batch, time, size].
        ends: the state after the last word <dtype>[batch, size].
        lengths: number of words of each review <int32>[batch].
        attention: for the pooling 'attention'.
    """
    end = tf.cast(ends, tf.float32)
    if pooling == "last":
        return end
    states = tf.cast(tokens, tf.float32)
    is_token = tf.sequence_mask(lengths, tf.shape(states)[1])[:, :, None]
    if attention:
        return attention(states, is_token)
    parts = {"last": lambda: end}
    parts["max"] = lambda: tf.reduce_max(tf.where(is_token, states, states.dtype.min), axis=1)
    parts["mean"] = lambda: (
        tf.reduce_sum(tf.where(is_token, states, 0.0), axis=1)
        / tf.cast(lengths[:, None], tf.float32)
    )
    names = _CONCATENATED if pooling == "concat" else (pooling,)
    return tf.concat([parts[name]() for name in names], axis=-1)
