import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.model.xla_lstm import lstm

# batch, time, width, units
SIZES = [(64, 12, 64, 128), (5, 9, 17, 33), (2, 7, 1, 1)]


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


def ours(layer):
    cell = layer.cell
    return lambda inputs: lstm(inputs, cell.kernel, cell.recurrent_kernel, cell.bias)


def results(function, layer, inputs, factors, jit=False, signature=None):
    """Outputs and the gradients of inputs and weights <float64>, of a sum that weighs the outputs
    with `factors`."""

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


def example(batch, time, width, units, dtype):
    random = np.random.default_rng(0)
    shapes = (batch, time, width), (batch, time, units)
    return [tf.cast(random.normal(size=shape), dtype) for shape in shapes]


@functools.cache
def references(size, dtype):
    """Results of Keras, and of Keras in float64."""
    layer, precise = (keras_layer(size[3], size[2], name) for name in (dtype, "float64"))
    precise.set_weights(layer.get_weights())  # the same seed draws others in float64
    tensors = example(*size, dtype)
    high = [tf.cast(tensor, tf.float64) for tensor in tensors]
    return results(layer, layer, *tensors), results(precise, precise, *high)


def errors(values, expected):
    """The largest of each tensor, as a share of its largest value."""
    scales = [np.abs(tensor).max() or 1.0 for tensor in expected]
    return [
        np.abs(a - b).max() / scale for a, b, scale in zip(values, expected, scales, strict=True)
    ]


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_has_the_numbers_of_keras(size, jit):
    layer = keras_layer(size[3], size[2], "float32")
    mine = results(ours(layer), layer, *example(*size, "float32"), jit)
    for expected in references(size, "float32"):
        assert max(errors(mine, expected)) < 1e-5


# Sizes of so many numbers that the largest error is not one of chance.
@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("size", SIZES[:2])
def test_is_no_worse_than_keras_in_mixed_precision(size, dtype, jit):
    layer = keras_layer(size[3], size[2], dtype)
    mine = results(ours(layer), layer, *example(*size, dtype), jit)
    kerass, expected = references(size, dtype)
    for error, allowed in zip(errors(mine, expected), errors(kerass, expected), strict=True):
        assert error <= 1.5 * allowed


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gives_the_types_of_keras(dtype):
    layer = keras_layer(3, 2, dtype)
    inputs, _ = example(4, 5, 2, 3, dtype)
    with tf.GradientTape() as tape:
        outputs = ours(layer)(inputs)
    assert outputs.dtype == layer(inputs).dtype
    assert outputs.shape == (4, 5, 3)
    variables = [variable.value for variable in layer.trainable_variables]
    gradients = tape.gradient(outputs, variables)
    assert [g.dtype for g in gradients] == [v.dtype for v in variables]


def test_takes_batches_of_unknown_shape():
    layer = keras_layer(6, 4, "float32")
    signature = [tf.TensorSpec([None, None, 4]), tf.TensorSpec([None, None, 6])]
    for batch, time in ((3, 5), (2, 8)):
        tensors = example(batch, time, 4, 6, "float32")
        mine = results(ours(layer), layer, *tensors, signature=signature)
        assert max(errors(mine, results(layer, layer, *tensors))) < 1e-5


def test_micro_batches_add_up_to_the_batch():
    layer = keras_layer(8, 4, "float32")
    inputs, factors = example(6, 5, 4, 8, "float32")
    variables = [variable.value for variable in layer.trainable_variables]

    @tf.function(jit_compile=True, autograph=False)
    def gradients(parts):
        total = [tf.zeros_like(variable) for variable in variables]
        for x, y in zip(tf.split(inputs, parts), tf.split(factors, parts), strict=True):
            with tf.control_dependencies(total), tf.GradientTape() as tape:
                loss = tf.reduce_sum(ours(layer)(tf.identity(x)) * y)
            total = [a + b for a, b in zip(total, tape.gradient(loss, variables), strict=True)]
        return total

    whole = results(ours(layer), layer, inputs, factors)[2:]
    assert max(errors([g.numpy() for g in gradients(2)], whole)) < 1e-5
