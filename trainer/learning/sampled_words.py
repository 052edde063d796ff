"""The words that a step of a language model compares with: some of all, the same for all reviews.

    candidates = draw(bits, vocabulary_size=20_000, count=1000)     # ids <int32>[1000]
    chances = chances_of(vocabulary_size=20_000, count=1000)        # of each id to be among them
    weights = importance_of(vocabulary_size=20_000)                 # of each id, 1.0 if it is rare

Ids are in the order of their frequency, and the chance of the id n falls as log(1 + 1 / n), which
is about as 1 / n (Zipf's law). Drawing is a hash of the step's bits and the id: no random
generator, no hidden state.
"""

import functools

import numpy as np
import tensorflow as tf

from trainer.model.hashing import mix

# What the candidates' hash is called, apart from the layers of dropout masks.
_PLACE = 2**18
# A word that is a larger share of all words than this counts less, word2vec's `sample`.
_COMMON = 1e-4
_HALVINGS = 100  # of an interval in which a number is sought; float64 has fewer digits


def draw(bits: tf.Tensor, vocabulary_size: int, count: int) -> tf.Tensor:
    """Returns `count` different ids <int32>[count] from 1 on, by the bits <uint32>[] of a step.

    An id is drawn without replacement in proportion to its rate, as the `count` first of clocks
    that ring after an exponential time (Efraimidis and Spirakis 2006,
    doi:10.1016/j.ipl.2005.11.003).
    """
    ids = tf.range(1, vocabulary_size)
    hashes = mix(mix(bits ^ tf.constant(_PLACE, tf.uint32)) ^ tf.cast(ids, tf.uint32))
    uniform = (tf.cast(hashes, tf.float32) + 0.5) / 2.0**32
    times = -tf.math.log(uniform) / _rates(vocabulary_size).astype(np.float32)
    return tf.math.top_k(-times, count).indices + 1


@functools.cache
def chances_of(vocabulary_size: int, count: int) -> np.ndarray:
    """Returns the chance of each id to be drawn <float64>[ids]; that of padding is 1.

    `count` is less than the ids from 1 on. The chances are those of the clocks that have rung at
    the time at which `count` have on average.
    """
    rates = _rates(vocabulary_size)
    low, high = 0.0, 1.0
    while -np.expm1(-rates * high).sum() < count:
        high *= 2.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        is_early = -np.expm1(-rates * middle).sum() < count
        low, high = (middle, high) if is_early else (low, middle)
    return np.append(1.0, -np.expm1(-rates * high))


def importance_of(vocabulary_size: int) -> np.ndarray:
    """Returns how much each id counts where words that say what a text is about are to be found.

    They are <float64>[ids], at most 1.0, and 0.0 for padding: the chance to be kept by the
    subsampling of frequent words of Mikolov et al. 2013 (arXiv:1310.4546, equation 5).
    """
    rates = _rates(vocabulary_size)
    return np.append(0.0, np.minimum(1.0, np.sqrt(_COMMON * rates.sum() / rates)))


def _rates(vocabulary_size: int) -> np.ndarray:
    """Returns the rates <float64>[ids - 1] of the ids from 1 on."""
    return np.log1p(1.0 / np.arange(1, vocabulary_size))
