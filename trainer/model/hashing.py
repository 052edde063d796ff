"""Hashes of numbers, the same on every device.

bits = mix(tf.cast(step, tf.uint32))
bits = mix(bits ^ tf.cast(rows, tf.uint32))     # of both
"""

import tensorflow as tf


def mix(bits: tf.Tensor) -> tf.Tensor:
    """Hashes <uint32> with MurmurHash3's 32-bit finaliser.

    Each input bit flips each output bit half the time (github.com/aappleby/smhasher,
    MurmurHash3.cpp, fmix32). The offset keeps 0 from being its own hash.
    """
    bits += tf.constant(0x9E3779B9, tf.uint32)
    bits ^= tf.bitwise.right_shift(bits, tf.constant(16, tf.uint32))
    bits *= tf.constant(0x85EBCA6B, tf.uint32)
    bits ^= tf.bitwise.right_shift(bits, tf.constant(13, tf.uint32))
    bits *= tf.constant(0xC2B2AE35, tf.uint32)
    return bits ^ tf.bitwise.right_shift(bits, tf.constant(16, tf.uint32))
