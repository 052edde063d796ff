import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.learning.optimizers import Adam


@pytest.mark.parametrize(("name", "decay"), [("adam", 0.0), ("adamw", 0.1)])
def test_updates_are_those_of_keras(config, name, decay):
    config.optimizer.update(name=name, weight_decay=decay)
    generator = np.random.default_rng(0)
    start = generator.normal(size=(4, 3)).astype(np.float32)
    gradients = generator.normal(size=(20, 4, 3)).astype(np.float32)

    expected = keras.Variable(start)
    reference = {
        "adam": keras.optimizers.Adam(0.01),
        "adamw": keras.optimizers.AdamW(0.01, weight_decay=decay),
    }[name]
    variable = tf.Variable(start)
    optimizer = Adam([variable], config.optimizer)
    for gradient in gradients:
        reference.apply([tf.constant(gradient)], [expected])
        optimizer.update([variable], [tf.constant(gradient)], tf.constant(0.01))
    np.testing.assert_allclose(variable, expected, rtol=1e-4, atol=1e-6)
    assert optimizer.updates == 20


def test_biases_do_not_decay(config):
    config.optimizer.update(name="adamw", weight_decay=0.1)
    bias = tf.Variable([1.0, 2.0])
    Adam([bias], config.optimizer).update([bias], [tf.zeros(2)], tf.constant(0.5))
    np.testing.assert_array_equal(bias, [1.0, 2.0])
