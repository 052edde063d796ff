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


def with_xla(layer):
    cell = layer.cell
    return lambda inputs: lstm(inputs, cell.kernel, cell.recurrent_kernel, cell.bias)


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


def example(batch, time, width, units, dtype):
    random = np.random.default_rng(0)
    shapes = (batch, time, width), (batch, time, units)
    return [tf.cast(random.normal(size=shape), dtype) for shape in shapes]


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


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_numbers_are_those_of_keras(size, jit):
    layer = keras_layer(size[3], size[2], "float32")
    computed = results(with_xla(layer), layer, *example(*size, "float32"), jit)
    for expected in references(size, "float32"):
        assert max(errors(computed, expected)) < 1e-5


# Only sizes with enough numbers that the largest error is not left to chance.
@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("size", SIZES[:2])
def test_error_in_mixed_precision_is_at_most_that_of_keras(size, dtype, jit):
    layer = keras_layer(size[3], size[2], dtype)
    computed = results(with_xla(layer), layer, *example(*size, dtype), jit)
    keras_results, expected = references(size, dtype)
    for error, allowed in zip(
        errors(computed, expected), errors(keras_results, expected), strict=True
    ):
        assert error <= 1.5 * allowed


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_dtypes_are_those_of_keras(dtype):
    layer = keras_layer(3, 2, dtype)
    inputs, _ = example(4, 5, 2, 3, dtype)
    with tf.GradientTape() as tape:
        outputs = with_xla(layer)(inputs)
    assert outputs.dtype == layer(inputs).dtype
    assert outputs.shape == (4, 5, 3)
    variables = [variable.value for variable in layer.trainable_variables]
    gradients = tape.gradient(outputs, variables)
    assert [g.dtype for g in gradients] == [v.dtype for v in variables]


def test_accepts_batches_of_unknown_shape():
    layer = keras_layer(6, 4, "float32")
    signature = [tf.TensorSpec([None, None, 4]), tf.TensorSpec([None, None, 6])]
    for batch, time in ((3, 5), (2, 8)):
        tensors = example(batch, time, 4, 6, "float32")
        computed = results(with_xla(layer), layer, *tensors, signature=signature)
        assert max(errors(computed, results(layer, layer, *tensors))) < 1e-5


def test_gradients_of_micro_batches_add_up_to_those_of_the_batch():
    layer = keras_layer(8, 4, "float32")
    inputs, factors = example(6, 5, 4, 8, "float32")
    variables = [variable.value for variable in layer.trainable_variables]

    @tf.function(jit_compile=True, autograph=False)
    def gradients(parts):
        total = [tf.zeros_like(variable) for variable in variables]
        for x, y in zip(tf.split(inputs, parts), tf.split(factors, parts), strict=True):
            with tf.control_dependencies(total), tf.GradientTape() as tape:
                loss = tf.reduce_sum(with_xla(layer)(tf.identity(x)) * y)
            total = [a + b for a, b in zip(total, tape.gradient(loss, variables), strict=True)]
        return total

    whole = results(with_xla(layer), layer, inputs, factors)[2:]
    assert max(errors([g.numpy() for g in gradients(2)], whole)) < 1e-5
