"""Perturbations of embedded reviews, measured against how much the embedding varies.

    small = along(gradient, inputs.embedded, batch, norm=5.0)
    logits = network.logits(perturbed(inputs, small), batch.lengths, key)

A norm would mean less and less if the embedding could grow. Miyato et al. 2017 (arXiv:1605.07725,
equation 4) therefore normalise it: each of its dimensions has the mean 0 and the variance 1 over
the words, each as often as it occurs. A perturbation of the normalised embedding is here a
perturbation of the embedding as it is, whose dimensions are scaled by their deviations: the same,
since what reads the embedding may scale and shift it. The deviations are those of the words at
hand.
"""

import tensorflow as tf

from input_pipeline.pipeline import Batch
from trainer.model.network import Inputs


def along(direction: tf.Tensor, embedded: tf.Tensor, batch: Batch, norm: float) -> tf.Tensor:
    """Returns a perturbation of each review <float32>[batch, time, width].

    Args:
        direction: of the perturbation, a gradient for the embeddings as they are; any
            <dtype>[batch, time, width].
        embedded: the embeddings <dtype>[batch, time, width].
        batch: whose reviews these are.
        norm: the L2 norm of a review's perturbation of the normalised embeddings.
    """
    valid = tf.sequence_mask(batch.lengths, tf.shape(embedded)[1], tf.float32)[:, :, tf.newaxis]
    words = tf.cast(embedded, tf.float32)
    count = tf.reduce_sum(valid)
    mean = tf.reduce_sum(words * valid, axis=[0, 1]) / count
    variance = tf.reduce_sum(tf.square(words - mean) * valid, axis=[0, 1]) / count
    # With x = mean + deviation * y, the gradient for y is the one for x times the deviation.
    normalised = tf.cast(direction, tf.float32) * valid * tf.sqrt(variance)
    # Twice, since the squares of a small gradient would vanish.
    largest = tf.reduce_max(tf.abs(normalised), axis=[1, 2], keepdims=True)
    normalised = tf.math.divide_no_nan(normalised, largest)
    length = tf.norm(normalised, axis=[1, 2], keepdims=True)
    moved = tf.math.divide_no_nan(norm * normalised, length) * tf.sqrt(variance)
    return tf.stop_gradient(moved)


def perturbed(inputs: Inputs, perturbation: tf.Tensor) -> Inputs:
    """Returns the inputs with a perturbation <float32>[batch, time, width] added."""
    moved = inputs.embedded + tf.cast(perturbation, inputs.embedded.dtype)
    return inputs._replace(embedded=moved)
