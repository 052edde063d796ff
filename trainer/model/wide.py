"""The wide part of a classifier: a linear model of the words and short phrases of a review.

    wide = Wide(config.model, outputs=1)
    wide.ratios.assign(log_ratios)                  # see `learning.naive_bayes`
    logits = tf.reduce_sum(wide(tokens), axis=1)    # <float32>[batch, outputs]

What occurs in a review counts once, however often it does. A weight belongs to an n-gram of one to
`model.wide_ngrams` tokens, and is scaled by how much more often the n-gram occurs with one label
than with others, as in the NBSVM of Wang and Manning 2012 (https://aclanthology.org/P12-2018).
N-grams share `model.wide_buckets` weights by a hash (Weinberger et al. 2009, arXiv:0902.2206).
That such a part learns beside a deep one is from Cheng et al. 2016 (arXiv:1606.07792).
"""

import keras
import ml_collections
import tensorflow as tf

from trainer.model.dropout import UNKNOWN
from trainer.model.hashing import mix

FIRST_KNOWN = UNKNOWN + 1


class Wide(tf.Module):
    """A weight and a ratio for each bucket and output."""

    def __init__(self, config: ml_collections.ConfigDict, outputs: int):
        """`config` is the `model` part of a config, `outputs` the number of logits."""
        super().__init__()
        self._buckets, self._longest = config.wide_buckets, config.wide_ngrams
        self.layer = keras.layers.Embedding(
            self._buckets, outputs, embeddings_initializer="zeros", dtype="float32"
        )
        self.layer.build((None,))
        self.ratios = tf.Variable(tf.zeros([self._buckets, outputs]), trainable=False)

    def __call__(self, tokens: tf.Tensor) -> tf.Tensor:
        """Returns what the n-grams that end at each token add <float32>[batch, time, outputs].

        `tokens` are ids <int32>[batch, time].
        """
        buckets, occurs = self.n_grams(tokens)
        weights = tf.gather(self.layer.embeddings.value, buckets)
        values = weights * tf.gather(self.ratios, buckets)
        return tf.reduce_sum(tf.where(occurs[..., tf.newaxis], values, 0.0), axis=2)

    def n_grams(self, tokens: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the buckets of the n-grams that end at each token, and which of them count.

        Both are [batch, time, lengths], <int32> and <bool>. An n-gram with padding or an unknown
        word does not count, nor does one whose bucket occurred before in the review.
        """
        time = tf.shape(tokens)[1]

        def earlier(values: tf.Tensor, places: int) -> tf.Tensor:
            return tf.pad(values, [[0, 0], [places, 0]])[:, :time]

        ids, known = tf.cast(tokens, tf.uint32), tokens >= FIRST_KNOWN
        hashes, is_known = [mix(ids)], [known]
        for places in range(1, self._longest):
            hashes.append(mix(hashes[-1] ^ earlier(ids, places)))
            is_known.append(is_known[-1] & earlier(known, places))
        bits = tf.stack(hashes, axis=2)
        buckets = tf.cast(bits & tf.constant(self._buckets - 1, tf.uint32), tf.int32)
        return buckets, _is_first(tf.where(tf.stack(is_known, axis=2), buckets, -1))


def _is_first(numbers: tf.Tensor) -> tf.Tensor:
    """Returns where a number of a row occurs first <bool>[batch, ...]; not of negative ones."""
    flat = tf.reshape(numbers, [tf.shape(numbers)[0], -1])
    order = tf.argsort(flat, axis=1, stable=True)
    ordered = tf.gather(flat, order, batch_dims=1)
    before = tf.pad(ordered, [[0, 0], [1, 0]], constant_values=-1)[:, :-1]
    rows, columns = tf.unstack(tf.shape(flat))
    places = order + columns * tf.range(rows)[:, tf.newaxis]
    first = tf.scatter_nd(
        tf.reshape(places, [-1, 1]),
        tf.reshape(tf.cast(ordered != before, tf.int32), [-1]),
        [rows * columns],
    )
    return tf.cast(tf.reshape(first, tf.shape(numbers)), tf.bool)
