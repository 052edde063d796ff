"""Dropout masks as a function of their place: no random generator, no hidden state.

    key = DropoutKey(step_bits(seed=0, step=state.step), rows=tf.range(64))
    hidden *= mask(key, layer=1, units=128, rate=0.2)[:, None, :]
    tokens = with_unknown(key, tokens, rate=0.1)
    embedded *= word_mask(key, tokens, rate=0.1)[:, :, None]
    recurrent_kernel *= weight_mask(key, number=0, shape=(128, 512), rate=0.5)

A mask is the same wherever the review's row is computed: on one replica or eight, in one slice or
four, before a restart or after.
"""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from trainer.model.hashing import mix

# Token ids: smaller ones than that of the unknown word are padding.
UNKNOWN = 1
# What a mask's layer is called where it is none of an encoder's, whose numbers are smaller.
WIDE, _TOKENS, _WORDS, _WEIGHTS = range(2**16, 2**16 + 4)
_NOISE = 2**17
_NUMBERS = 2**19


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
    rows, places = key.rows[:, None, None], tf.range(time)[:, None]
    bits = _hashed(key, _NOISE, rows, places, tf.range(units))
    # In the middle of one of 2**23 parts, since the ends would be infinite.
    number = tf.cast(tf.bitwise.right_shift(bits, tf.constant(9, tf.uint32)), tf.int32)
    shares = (tf.cast(number, tf.float32) + 0.5) * 2.0**-23
    return tf.math.ndtri(shares)


def mask(key: DropoutKey, layer: int, units: int, rate: float) -> tf.Tensor:
    """Returns factors <float32>[batch, units]: 0 with probability `rate`, else 1 / (1 - rate).

    They are for all tokens of a review (Gal and Ghahramani 2016, arXiv:1512.05287).
    """
    return _factors(_is_kept(key, rate, layer, key.rows[:, None], tf.range(units)[None, :]), rate)


def with_unknown(key: DropoutKey, tokens: tf.Tensor, rate: float) -> tf.Tensor:
    """Returns ids <int32>[batch, time], of which the fraction `rate` became the unknown word.

    Padding stays padding. Iyyer et al. 2015 (https://aclanthology.org/P15-1162) leave words out;
    that the unknown word takes their place is from Bowman et al. 2016 (arXiv:1511.06349).
    """
    places = tf.range(tf.shape(tokens)[1])
    kept = _is_kept(key, rate, _TOKENS, key.rows[:, None], places[None, :])
    return tf.where(kept | (tokens < UNKNOWN), tokens, UNKNOWN)


def word_mask(key: DropoutKey, tokens: tf.Tensor, rate: float) -> tf.Tensor:
    """Returns factors <float32>[batch, time], those of `mask`, of tokens <int32>[batch, time].

    All occurrences of a word in a review have the same one, as in Gal and Ghahramani 2016, and in
    Merity, Keskar and Socher 2018 (arXiv:1708.02182).
    """
    return _factors(_is_kept(key, rate, _WORDS, key.rows[:, None], tokens), rate)


def weight_mask(key: DropoutKey, number: int, shape: Sequence[int], rate: float) -> tf.Tensor:
    """Returns factors <float32>[rows, columns], those of `mask`, of a matrix of weights.

    `number` is the matrix's own. The factors are the same for all reviews of a step, as in the
    DropConnect of recurrent weights of Merity, Keskar and Socher 2018 (arXiv:1708.02182).
    """
    rows, columns = (tf.range(size) for size in shape)
    return _factors(_is_kept(key, rate, _WEIGHTS, number, rows[:, None], columns[None, :]), rate)


def drawn_number(key: DropoutKey, number: int, places: tf.Tensor, limits: tf.Tensor) -> tf.Tensor:
    """Returns a number <int32>[batch, n] that is at least 0 and below a limit, about even.

    The limits are <int32>[batch or 1, n]. `places` <int32>[n] and a `number` of the caller's tell
    one draw from another.
    """
    bits = _hashed(key, _NUMBERS, number, key.rows[:, None], places)
    return tf.cast(bits % tf.cast(limits, tf.uint32), tf.int32)


def _is_kept(key: DropoutKey, rate: float, *place: int | tf.Tensor) -> tf.Tensor:
    """Returns <bool>: True with probability 1 - `rate`, by a hash of the key and a place."""
    return _hashed(key, *place) >= tf.constant(int(rate * 2**32), tf.uint32)


def _hashed(key: DropoutKey, *place: int | tf.Tensor) -> tf.Tensor:
    """Returns a hash <uint32> of the key and a place.

    A place is what a mask is called and the numbers <int32> of its elements, of broadcast shapes.
    """
    bits = key.bits
    for value in place:
        bits = mix(bits ^ tf.cast(value, tf.uint32))
    return bits


def _factors(kept: tf.Tensor, rate: float) -> tf.Tensor:
    return tf.cast(kept, tf.float32) / (1.0 - rate)
