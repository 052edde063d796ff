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
        optimizer.update([variable], [tf.constant(gradient)], [0], [False], tf.constant(0.01))
    np.testing.assert_allclose(variable, expected, rtol=1e-4, atol=1e-6)
    assert optimizer.updates == 20


def test_biases_do_not_decay(config):
    config.optimizer.update(name="adamw", weight_decay=0.1)
    bias = tf.Variable([1.0, 2.0])
    optimizer = Adam([bias], config.optimizer)
    optimizer.update([bias], [tf.zeros(2)], [0], [True], tf.constant(0.5))
    np.testing.assert_array_equal(bias, [1.0, 2.0])


@pytest.mark.parametrize("unfreeze_steps", [0, 6])
def test_each_layer_is_trained_as_by_an_optimizer_of_its_own(config, unfreeze_steps):
    """Of a lower learning rate, which starts when the layer joins the training."""
    config.optimizer.update(name="adamw", weight_decay=0.1, layer_decay=0.5)
    config.optimizer.unfreeze_steps = unfreeze_steps
    depths = [2, 0, 1]
    generator = np.random.default_rng(0)
    starts = generator.normal(size=(3, 4, 2)).astype(np.float32)
    # Those of frozen layers don't matter, whatever they are.
    gradients = generator.normal(size=(20, 3, 4, 2)).astype(np.float32)
    gradients[:unfreeze_steps, 0] = np.inf

    references = [keras.optimizers.AdamW(0.01 * 0.5**depth, weight_decay=0.1) for depth in depths]
    expected = [keras.Variable(start) for start in starts]
    variables = [tf.Variable(start) for start in starts]
    optimizer = Adam(variables, config.optimizer)
    for step, rows in enumerate(gradients):
        trained = optimizer.of_trained(list(map(tf.constant, rows)), depths)
        optimizer.update(variables, trained, depths, [False] * 3, tf.constant(0.01))
        for place, depth in enumerate(depths):
            if step >= depth * unfreeze_steps:
                references[place].apply([tf.constant(rows[place])], [expected[place]])
            else:  # to the bit
                np.testing.assert_array_equal(variables[place], starts[place])
                assert not optimizer.first[place].numpy().any()
                assert not optimizer.second[place].numpy().any()
    for variable, reference in zip(variables, expected, strict=True):
        np.testing.assert_allclose(variable, reference, rtol=1e-4, atol=1e-6)


def test_gradients_of_frozen_layers_are_zero(config):
    optimizer = Adam([], config.optimizer)
    gradients = [tf.ones(2), tf.constant([np.nan, 1.0])]
    assert optimizer.of_trained(gradients, [0, 1]) is gradients
    config.optimizer.unfreeze_steps = 2
    for expected in ([0.0, 0.0], [0.0, 0.0], [np.nan, 1.0]):
        head, below = optimizer.of_trained(gradients, [0, 1])
        np.testing.assert_array_equal(head, [1.0, 1.0])
        np.testing.assert_array_equal(below, expected)
        optimizer.updates.assign_add(1)
