"""Losses as (sum, weight) pairs, divided once, after all parts of a batch are added up.

total, weight = binary_cross_entropy(logits, labels, weights, label_smoothing=0.0)
loss = total / weight
"""

import tensorflow as tf


def binary_cross_entropy(
    logits: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor, label_smoothing: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the weighted sum and the weight <float32>[] of a batch; arguments <float32>[batch].

    Smoothing moves a label by the fraction `label_smoothing` towards one half (Szegedy et al. 2016,
    arXiv:1512.00567).
    """
    targets = labels * (1.0 - label_smoothing) + 0.5 * label_smoothing
    losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits)
    return tf.reduce_sum(losses * weights), tf.reduce_sum(weights)
