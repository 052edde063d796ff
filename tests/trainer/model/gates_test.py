"""The gates are those of the LSTM equations, and the network they are read from is the same one."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.model.gates import Gates, Recorder, gates_of
from trainer.model.kernels import KERNELS
from trainer.model.network import Classifier

TOLERANCE = {"float32": 1e-6, "mixed_bfloat16": 2e-2, "mixed_float16": 2e-3}


@pytest.fixture
def inputs():
    return np.random.default_rng(0).normal(size=(3, 9, 5)).astype(np.float32)


def layer_of(precision="float32", units=4):
    layer = keras.layers.LSTM(units, return_sequences=True, dtype=precision)
    layer.build((None, None, 5))
    rng = np.random.default_rng(1)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])
    return layer


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def equations(weights, inputs):
    """The values of one review <float64>[time, units] each, from its inputs [time, width].

    Written by the equations of Gers, Schmidhuber and Cummins 2000, with the weights in Keras's
    order: input, forget, cell, output.
    """
    kernel, recurrent, bias = (np.float64(w) for w in weights)
    hidden, cell, rows = np.zeros(len(recurrent)), np.zeros(len(recurrent)), []
    for x in inputs:
        i, f, g, o = np.split(x @ kernel + hidden @ recurrent + bias, 4)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        cell = f * cell + i * g
        hidden = o * np.tanh(cell)
        rows.append((i, f, g, o, cell, hidden))
    return Gates(*map(np.array, zip(*rows, strict=True)))


@pytest.mark.parametrize("precision", TOLERANCE)
def test_gates_are_those_of_the_equations(inputs, precision):
    layer = layer_of(precision)
    gates = gates_of(layer, inputs)
    for row, review in enumerate(inputs):
        expected = equations(layer.get_weights(), review)
        for value, wanted in zip(gates, expected, strict=True):
            assert value.dtype == tf.float32
            np.testing.assert_allclose(value[row], wanted, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("precision", TOLERANCE)
def test_states_are_those_of_the_layer(inputs, precision):
    layer = layer_of(precision)
    states = tf.cast(layer(inputs), tf.float32)
    np.testing.assert_allclose(gates_of(layer, inputs).state, states, atol=TOLERANCE[precision])


@pytest.fixture
def reviews():
    """Ids <int32>[2, 9] and lengths <int32>[2]."""
    tokens = np.random.default_rng(0).integers(1, 50, (2, 9)).astype(np.int32)
    return tokens, np.array([9, 4], np.int32)


def recorded(network, inputs, lengths):
    """The gates of all layers, and the logits that the network makes of their states."""
    with tf.GradientTape() as tape:
        recorder = Recorder(tape)
        logits = network.with_kernel(recorder).logits(inputs, lengths)
    return recorder.gates, logits


@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_logits_of_the_recorded_states_are_the_networks_own(
    config, reviews, bidirectional, precision
):
    precision = precision.removeprefix("mixed_")
    config.model.update(pooling="concat", bidirectional=bidirectional, precision=precision)
    network = Classifier(config.model, 50, 3, seed=1, kernel=KERNELS["keras"])
    tokens, lengths = reviews
    inputs = network.inputs(tokens)
    _, logits = recorded(network, inputs, lengths)
    np.testing.assert_allclose(logits, network.logits(inputs, lengths), atol=5e-3)
    if precision == "float32":
        np.testing.assert_allclose(logits, network.logits(inputs, lengths), atol=1e-6)


def test_recorder_keeps_the_layers_of_both_directions_in_order(config, reviews):
    config.model.update(bidirectional=True, layer_sizes=(8, 4))
    network = Classifier(config.model, 50, 2, seed=1, kernel=KERNELS["keras"])
    tokens, lengths = reviews
    inputs = network.inputs(tokens)
    gates, _ = recorded(network, inputs, lengths)
    assert [values.cell.shape[-1] for values in gates] == [8, 8, 4, 4]
    review = np.float64(inputs.embedded[1, :4])
    expected = (
        equations(network.forward[0].get_weights(), review),
        equations(network.backward[0].get_weights(), review[::-1]),
    )
    for values, wanted in zip(gates, expected, strict=False):
        np.testing.assert_allclose(values.forget[1, :4], wanted.forget, atol=1e-6)
        np.testing.assert_allclose(values.cell[1, :4], wanted.cell, atol=1e-6)


def test_factors_scale_a_state_wherever_it_is_read(inputs):
    layer = layer_of()
    factors = np.array([1.0, 0.0, 1.0, 1.0], np.float32)
    silenced = layer_of()
    kernel, recurrent, bias = layer.get_weights()
    silenced.set_weights([kernel, recurrent * factors[:, None], bias])
    state = gates_of(layer, inputs, factors).state
    np.testing.assert_allclose(state, silenced(inputs) * factors, atol=1e-6)


def test_recorders_factors_have_the_derivative_of_a_difference(inputs):
    layer = layer_of()

    def total(factors):
        return float(tf.reduce_sum(gates_of(layer, inputs, factors).state[:, -1]))

    with tf.GradientTape() as tape:
        recorder = Recorder(tape)
        result = tf.reduce_sum(recorder(layer, inputs, False)[:, -1])
    derivative = tape.gradient(result, recorder.factors)[0]
    for unit in range(4):
        step = np.eye(4, dtype=np.float32)[unit] * 1e-2
        slope = (total(1 + step) - total(1 - step)) / 2e-2
        assert float(derivative[unit]) == pytest.approx(slope, rel=1e-2, abs=1e-3)
