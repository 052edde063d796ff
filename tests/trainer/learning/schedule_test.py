import numpy as np
import tensorflow as tf

from trainer.learning import schedule


def rates(config, total, steps):
    return [schedule.learning_rate(tf.constant(s, tf.int64), config, total).numpy() for s in steps]


def test_constant_rate(config):
    config.optimizer.update(learning_rate=0.5, schedule="constant", warmup_steps=0)
    np.testing.assert_allclose(rates(config.optimizer, 10, [0, 5, 9, 100]), 0.5)


def test_linear_warm_up_then_half_a_cosine_to_zero(config):
    config.optimizer.update(learning_rate=2.0, schedule="cosine", warmup_steps=4)
    got = rates(config.optimizer, 104, [0, 1, 3, 4, 54, 79, 104, 200])
    quarter = 2.0 * 0.5 * (1 + np.cos(0.75 * np.pi))
    np.testing.assert_allclose(got, [0.5, 1.0, 2.0, 2.0, 1.0, quarter, 0.0, 0.0], atol=1e-6)


def test_rate_of_a_layer_falls_with_its_depth(config):
    config.optimizer.layer_decay = 1 / 2.6  # of Howard and Ruder 2018
    got = [schedule.rate_of_layer(tf.constant(0.01), depth, config.optimizer) for depth in range(4)]
    np.testing.assert_allclose(got, [0.01, 0.01 / 2.6, 0.01 / 2.6**2, 0.01 / 2.6**3], rtol=1e-6)


def test_layer_counts_its_updates_from_when_it_joins(config):
    def updates(depth):
        return int(schedule.updates_of_layer(tf.constant(250, tf.int64), depth, config.optimizer))

    assert [updates(depth) for depth in range(4)] == [250] * 4
    config.optimizer.unfreeze_steps = 100
    assert [updates(depth) for depth in range(4)] == [250, 150, 50, -50]


def test_steps_at_which_something_is_due():
    assert [step for step in range(1, 10) if schedule.due(step, 4)] == [4, 8]
    assert not schedule.due(4, 0)
    assert [schedule.steps_until(step, 4) for step in (0, 1, 3, 4)] == [4, 3, 1, 4]
    assert schedule.steps_until(3, 0) > 10**9
