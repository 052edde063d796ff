"""Dropout masks as a function of their place: no random generator, no hidden state.

    key = DropoutKey(step_bits(seed=0, step=state.step), rows=tf.range(64))
    hidden *= mask(key, layer=1, units=128, rate=0.2)[:, None, :]

A mask is the same for every token of a review (Gal and Ghahramani 2016, arXiv:1512.05287). It is
the same wherever the review's row is computed: on one replica or eight, in one slice or four,
before a restart or after.
"""

from typing import NamedTuple

import tensorflow as tf

from trainer.model.hashing import mix

# What the layer of a mask is for noise; the layers' numbers are smaller.
_NOISE = 2**17


class DropoutKey(NamedTuple):
    """What decides a mask, beside the layer."""

    bits: tf.Tensor  # <uint32>[], see `step_bits`
    rows: tf.Tensor  # <int32>[batch], row numbers in the global batch


def step_bits(seed: int, step: tf.Tensor) -> tf.Tensor:
    """Returns a hash <uint32>[] of a run's seed and the number of a step <int64>[]."""
    return mix(mix(tf.constant(seed, tf.uint32)) ^ tf.cast(step, tf.uint32))


def gaussian(key: DropoutKey, time: tf.Tensor, units: int) -> tf.Tensor:
    """Returns normally distributed noise <float32>[batch, time, units].

    `time` is <int32>[]. The noise at a place does not depend on it.
    """
    bits = key.bits
    for value in (_NOISE, key.rows[:, None, None], tf.range(time)[:, None], tf.range(units)):
        bits = mix(bits ^ tf.cast(value, tf.uint32))
    # In the middle of one of 2**23 parts, since the ends would be infinite.
    number = tf.cast(tf.bitwise.right_shift(bits, tf.constant(9, tf.uint32)), tf.int32)
    shares = (tf.cast(number, tf.float32) + 0.5) * 2.0**-23
    return tf.math.ndtri(shares)


def mask(key: DropoutKey, layer: int, units: int, rate: float) -> tf.Tensor:
    """Returns factors <float32>[batch, units]: 0 with probability `rate`, else 1 / (1 - rate)."""
    bits = key.bits
    for value in (layer, key.rows[:, None], tf.range(units)[None, :]):
        bits = mix(bits ^ tf.cast(value, tf.uint32))
    kept = bits >= tf.constant(int(rate * 2**32), tf.uint32)
    return tf.cast(kept, tf.float32) / (1.0 - rate)
