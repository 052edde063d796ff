"""Run with `python -m pytest tests/trainer/model/pooling_test.py`."""

import numpy as np
import pytest
import tensorflow as tf

from trainer.model.network import initial_seeds
from trainer.model.pooling import Attention, features_of, pooled

LENGTHS = np.array([6, 1, 4], np.int32)


@pytest.fixture
def states():
    """States <float32>[3, 6, 5], of padding too."""
    return np.random.default_rng(0).normal(size=(3, 6, 5)).astype(np.float32)


@pytest.fixture
def attention():
    made = Attention(5, initial_seeds(0, 2))
    made.hidden.bias.assign(np.linspace(-1, 1, 5))
    return made


def weights_of(attention, review):
    """The weight of each word <float64>[words] by the equations of Yang et al. 2016."""
    kernel, bias = map(np.float64, attention.hidden.get_weights())
    scores = np.tanh(review @ kernel + bias) @ np.float64(attention.query.get_weights()[0])
    return np.exp(scores[:, 0]) / np.exp(scores).sum()


def test_attention_is_a_mean_with_learned_weights(states, attention):
    features = pooled("attention", states, states[:, 0], LENGTHS, attention)
    for found, review, length in zip(features, states, LENGTHS, strict=True):
        weights = weights_of(attention, review[:length])
        np.testing.assert_allclose(found, weights @ review[:length], rtol=1e-5, atol=1e-6)
    assert features.shape == (3, features_of("attention", 5))


def test_attention_computes_in_float32(states, attention):
    rounded = tf.cast(states, tf.float16)
    found = pooled("attention", rounded, rounded[:, 0], LENGTHS, attention)
    expected = pooled("attention", tf.cast(rounded, tf.float32), states[:, 0], LENGTHS, attention)
    assert found.dtype == tf.float32
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("pooling", ["last", "max", "mean", "concat", "attention"])
def test_padding_has_no_part_and_no_gradient(states, attention, pooling):
    is_token = (np.arange(6) < LENGTHS[:, None])[:, :, None]
    module = attention if pooling == "attention" else None
    tokens = tf.constant(states)
    with tf.GradientTape() as tape:
        tape.watch(tokens)
        ends = tf.gather(tokens, LENGTHS - 1, batch_dims=1)
        features = pooled(pooling, tokens, ends, LENGTHS, module)
    slopes = tf.convert_to_tensor(tape.gradient(features, tokens)).numpy()
    assert (slopes[~is_token[:, :, 0]] == 0).all() and slopes.any(axis=(1, 2)).all()
    other = np.where(is_token, states, 100.0).astype(np.float32)
    np.testing.assert_array_equal(pooled(pooling, other, ends, LENGTHS, module), features)
