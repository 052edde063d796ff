"""Layers, inputs and results to hold an LSTM kernel against, for the tests of each kernel."""

import functools

import keras
import numpy as np
import tensorflow as tf


def keras_layer(units, width, dtype):
    layer = keras.layers.LSTM(
        units,
        return_sequences=True,
        kernel_initializer=keras.initializers.GlorotUniform(1),
        recurrent_initializer=keras.initializers.Orthogonal(seed=2),
        bias_initializer=keras.initializers.RandomNormal(seed=3),
        dtype=dtype if dtype in ("float32", "float64") else f"mixed_{dtype}",
    )
    layer.build((None, None, width))
    return layer


def with_kernel(lstm, layer, **options):
    """Returns a function that computes `layer` by `lstm(inputs, weights..., **options)`."""
    cell = layer.cell
    return lambda inputs: lstm(inputs, cell.kernel, cell.recurrent_kernel, cell.bias, **options)


def example(batch, time, width, units, dtype):
    """Returns random inputs and factors of the outputs, see `results`."""
    random = np.random.default_rng(0)
    shapes = (batch, time, width), (batch, time, units)
    return [tf.cast(random.normal(size=shape), dtype) for shape in shapes]


def results(function, layer, inputs, factors, jit=False, signature=None):
    """Outputs, and gradients with respect to inputs and weights, all <float64>.

    The gradients are of the sum of `factors` times outputs.
    """

    @tf.function(jit_compile=jit, autograph=False, input_signature=signature)
    def run(inputs, factors):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = function(inputs)
            loss = tf.reduce_sum(outputs * factors)
        return outputs, *tape.gradient(
            loss, [inputs, *(v.value for v in layer.trainable_variables)]
        )

    return [np.float64(tf.cast(tensor, tf.float64)) for tensor in run(inputs, factors)]


@functools.cache
def references(size, dtype):
    """Results of Keras's layer in `dtype` and in float64."""
    layer, precise = (keras_layer(size[3], size[2], name) for name in (dtype, "float64"))
    precise.set_weights(layer.get_weights())  # a seed gives other weights in float64
    tensors = example(*size, dtype)
    high = [tf.cast(tensor, tf.float64) for tensor in tensors]
    return results(layer, layer, *tensors), results(precise, precise, *high)


def errors(values, expected):
    """The largest error of each tensor as a fraction of its largest expected value."""
    scales = [np.abs(tensor).max() or 1.0 for tensor in expected]
    return [
        np.abs(a - b).max() / scale for a, b, scale in zip(values, expected, scales, strict=True)
    ]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def states_by_equations(weights, inputs):
    """Computes an LSTM's states by the equations of Gers, Schmidhuber and Cummins 2000.

    Returns the states <float64>[batch, time, units], and for each time step what the gradients
    need: the gates i, f, c, o and the cell's states before and after it. `weights` are in Keras's
    order.
    """
    kernel, recurrent, bias = (np.float64(w) for w in weights)
    hidden = cell = np.zeros((len(inputs), len(recurrent)))
    states, kept = [], []
    for x in np.float64(inputs).swapaxes(0, 1):
        i, f, c, o = np.split(x @ kernel + hidden @ recurrent + bias, 4, axis=-1)
        i, f, c, o, before = sigmoid(i), sigmoid(f), np.tanh(c), sigmoid(o), cell
        cell = f * before + i * c
        hidden = o * np.tanh(cell)
        states.append(hidden)
        kept.append((i, f, c, o, before, cell))
    return np.stack(states, axis=1), kept


def results_by_equations(weights, inputs, factors):
    """The values of `results` by the equations and back-propagation through time."""
    states, kept = states_by_equations(weights, inputs)
    kernel, recurrent, _ = (np.float64(w) for w in weights)
    of_inputs, of_weights = np.zeros(inputs.shape), [np.zeros(w.shape) for w in weights]
    dh = dc = np.zeros(states[:, 0].shape)
    for t in reversed(range(len(kept))):
        i, f, c, o, before, cell = kept[t]
        dh = dh + np.float64(factors[:, t])
        dc = dc + dh * o * (1 - np.tanh(cell) ** 2)
        of_gates = [
            dc * c * i * (1 - i),
            dc * before * f * (1 - f),
            dc * i * (1 - c**2),
            dh * np.tanh(cell) * o * (1 - o),
        ]
        sums = np.concatenate(of_gates, axis=-1)
        of_inputs[:, t] = sums @ kernel.T
        of_weights[0] += np.float64(inputs[:, t]).T @ sums
        of_weights[1] += states[:, t - 1].T @ sums if t else 0
        of_weights[2] += sums.sum(axis=0)
        dh, dc = sums @ recurrent.T, dc * f
    return [states, of_inputs, *of_weights]
