"""Run with `python -m pytest tests/trainer/learning/sampled_words_test.py`."""

import numpy as np
import pytest
import tensorflow as tf

from trainer.learning.sampled_words import chances_of, draw, importance_of
from trainer.model.dropout import step_bits

VOCABULARY, COUNT, STEPS = 60, 12, 1000


def test_draws_have_the_chances():
    """Compares frequencies over many steps; three standard deviations are 0.05."""
    draw_once = tf.function(lambda step: draw(step_bits(3, step), VOCABULARY, COUNT))
    drawn = np.array([draw_once(step) for step in tf.range(STEPS, dtype=tf.int64)])
    assert all(len(set(ids)) == COUNT for ids in drawn)
    frequencies = np.bincount(drawn.ravel(), minlength=VOCABULARY) / STEPS
    assert frequencies[0] == 0  # padding
    chances = chances_of(VOCABULARY, COUNT)
    np.testing.assert_allclose(frequencies[1:], chances[1:], atol=0.05)


def test_chances_are_those_of_a_logarithm_and_sum_up_to_the_count():
    chances = chances_of(20_000, 1000)[1:]
    assert chances.sum() == pytest.approx(1000)
    assert (np.diff(chances) <= 0).all()
    # Where they are small they fall as one divided by the id.
    assert chances[4_999] / chances[19_998] == pytest.approx(19_999 / 5_000, rel=0.02)
    assert chances[0] == pytest.approx(1.0)


def test_importance_falls_with_the_root_of_the_frequency():
    importance = importance_of(20_000)
    assert importance[0] == 0.0  # padding
    assert importance[-1] == 1.0
    chances = chances_of(20_000, 1)[1:]  # about each id's share of the words
    expected = np.minimum(1.0, np.sqrt(1e-4 / chances))
    np.testing.assert_allclose(importance[1:], expected, rtol=0.05)


def test_draws_depend_on_the_step_alone():
    first, second = (draw(step_bits(0, tf.constant(s, tf.int64)), 500, 50) for s in (7, 8))
    again = draw(step_bits(0, tf.constant(7, tf.int64)), 500, 50)
    assert first.numpy().tolist() == again.numpy().tolist() != second.numpy().tolist()
