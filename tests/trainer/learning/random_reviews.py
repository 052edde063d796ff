"""Random reviews, and strategies with several replicas on one CPU, for tests of a step."""

import functools

import numpy as np
import tensorflow as tf

from input_pipeline.examples import Examples

VOCABULARY = 100  # token ids


def make_reviews(count: int) -> Examples:
    """Random reviews of 1 to 40 tokens; a label is the parity of the review's first token."""
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 41, count)
    tokens = generator.integers(1, VOCABULARY, lengths.sum()).astype(np.int32)
    ragged = tf.RaggedTensor.from_row_lengths(tokens, lengths)
    first_tokens = tokens[np.cumsum(lengths) - lengths]
    return Examples(ragged, (first_tokens % 2).astype(np.int32))


@functools.cache  # TensorFlow accepts only one strategy of a kind in a process
def strategy_of(replicas: int) -> tf.distribute.Strategy:
    """A strategy with this number of replicas; 0 stands for OneDeviceStrategy."""
    if replicas == 0:
        return tf.distribute.OneDeviceStrategy("CPU:0")
    if replicas == 1:
        return tf.distribute.get_strategy()
    # A process can have TensorFlow's collectives for one number of replicas only: for 2. The
    # strategy with 4 replicas works without them.
    reduction = tf.distribute.ReductionToOneDevice() if replicas == 4 else None
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(replicas)], reduction)
