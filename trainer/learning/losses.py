"""Losses as (sum, weight) pairs, divided once, after all parts of a batch are added up.

total, weight = binary_cross_entropy(logits, labels, weights, label_smoothing=0.0)
total, weight = cross_entropy(logits, labels, weights, label_smoothing=0.0)
loss = total / weight

Smoothing moves a label by the fraction `label_smoothing` towards all labels being equally likely
(Szegedy et al. 2016, arXiv:1512.00567).
"""

import tensorflow as tf


def binary_cross_entropy(
    logits: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor, label_smoothing: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the weighted sum and the weight <float32>[] of a batch with two labels.

    Args:
        logits: of label 1, <float32>[batch].
        labels: 0 or 1, <int32>[batch].
        weights: <float32>[batch].
        label_smoothing: from 0 to 1.
    """
    targets = tf.cast(labels, tf.float32) * (1.0 - label_smoothing) + 0.5 * label_smoothing
    losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits)
    return tf.reduce_sum(losses * weights), tf.reduce_sum(weights)


def log_probabilities(logits: tf.Tensor) -> tf.Tensor:
    """Returns the logarithms of the probabilities of the labels <float32>[batch, labels].

    They are of logits <float32>[batch] of two labels, of more <float32>[batch, labels].
    """
    if len(logits.shape) == 1:
        return tf.math.log_sigmoid(tf.stack([-logits, logits], axis=-1))
    return tf.nn.log_softmax(logits)


def cross_entropy(
    logits: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor, label_smoothing: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the weighted sum and the weight <float32>[] of a batch with any number of labels.

    Args:
        logits: of each label, <float32>[batch, labels].
        labels: their numbers, <int32>[batch].
        weights: <float32>[batch].
        label_smoothing: from 0 to 1.
    """
    count = logits.shape[-1]
    targets = tf.one_hot(labels, count) * (1.0 - label_smoothing) + label_smoothing / count
    losses = tf.nn.softmax_cross_entropy_with_logits(labels=targets, logits=logits)
    return tf.reduce_sum(losses * weights), tf.reduce_sum(weights)
