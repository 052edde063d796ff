import numpy as np
import pytest
import tensorflow as tf

from trainer.learning.losses import binary_cross_entropy


def reference(logits, labels, weights, smoothing):
    targets = np.where(labels == 1, 1 - smoothing / 2, smoothing / 2)
    p = 1 / (1 + np.exp(-logits))
    return -(weights * (targets * np.log(p) + (1 - targets) * np.log(1 - p))).sum()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_the_cross_entropy_of_the_sigmoid(smoothing):
    logits, labels = np.array([2.0, -1.0, 0.5, 3.0]), np.array([1.0, 1.0, 0.0, 0.0])
    weights = np.array([1.0, 1.0, 1.0, 0.0])
    arguments = [tf.constant(a, tf.float32) for a in (logits, labels, weights)]
    total, weight = binary_cross_entropy(*arguments, smoothing)
    assert weight == 3
    np.testing.assert_allclose(total, reference(logits, labels, weights, smoothing), rtol=1e-6)


def test_loss_of_large_logits_is_finite():
    big = tf.constant([1000.0, -1000.0])
    total, _ = binary_cross_entropy(big, tf.constant([0.0, 1.0]), tf.ones(2), 0.0)
    assert total == 2000
