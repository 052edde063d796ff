import numpy as np
import pytest
import tensorflow as tf

from trainer.learning.losses import binary_cross_entropy, cross_entropy


def reference(logits, labels, weights, smoothing):
    targets = np.where(labels == 1, 1 - smoothing / 2, smoothing / 2)
    p = 1 / (1 + np.exp(-logits))
    return -(weights * (targets * np.log(p) + (1 - targets) * np.log(1 - p))).sum()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_the_cross_entropy_of_the_sigmoid(smoothing):
    logits, labels = np.float32([2.0, -1.0, 0.5, 3.0]), np.int32([1, 1, 0, 0])
    weights = np.float32([1, 1, 1, 0])
    total, weight = binary_cross_entropy(*map(tf.constant, (logits, labels, weights)), smoothing)
    assert weight == 3
    np.testing.assert_allclose(total, reference(logits, labels, weights, smoothing), rtol=1e-6)


def test_loss_of_large_logits_is_finite():
    big = tf.constant([1000.0, -1000.0])
    total, _ = binary_cross_entropy(big, tf.constant([0, 1]), tf.ones(2), 0.0)
    assert total == 2000


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_of_two_logits_is_that_of_their_difference(smoothing):
    logits = tf.constant([[2.0, -1.0], [0.5, 3.0], [0.0, -4.0]])
    labels, weights = tf.constant([0, 1, 1]), tf.constant([1.0, 0.5, 1.0])
    two = cross_entropy(logits, labels, weights, smoothing)
    one = binary_cross_entropy(logits[:, 1] - logits[:, 0], labels, weights, smoothing)
    np.testing.assert_allclose(two, one, rtol=1e-6)


def test_loss_of_several_logits_is_the_cross_entropy_of_the_softmax():
    logits = np.float32([[1, 2, 3], [3, 0, -3]])
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    total, weight = cross_entropy(tf.constant(logits), tf.constant([1, 0]), tf.ones(2), 0.3)
    targets = np.float32([[0.1, 0.8, 0.1], [0.8, 0.1, 0.1]])
    np.testing.assert_allclose(total, -(targets * np.log(shares)).sum(), rtol=1e-6)
    assert weight == 2
