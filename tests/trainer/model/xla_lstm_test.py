import pytest
import tensorflow as tf

from tests.trainer.model.lstm_examples import (
    errors,
    example,
    keras_layer,
    references,
    results,
    with_kernel,
)
from trainer.model.xla_lstm import lstm

# batch, time, width, units
SIZES = [(64, 12, 64, 128), (5, 9, 17, 33), (2, 7, 1, 1)]


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_numbers_are_those_of_keras(size, jit):
    layer = keras_layer(size[3], size[2], "float32")
    computed = results(with_kernel(lstm, layer), layer, *example(*size, "float32"), jit)
    for expected in references(size, "float32"):
        assert max(errors(computed, expected)) < 1e-5


# Only sizes with enough numbers that the largest error is not left to chance.
@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("size", SIZES[:2])
def test_error_in_mixed_precision_is_at_most_that_of_keras(size, dtype, jit):
    layer = keras_layer(size[3], size[2], dtype)
    computed = results(with_kernel(lstm, layer), layer, *example(*size, dtype), jit)
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
        outputs = with_kernel(lstm, layer)(inputs)
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
        computed = results(with_kernel(lstm, layer), layer, *tensors, signature=signature)
        assert max(errors(computed, results(layer, layer, *tensors))) < 1e-5


def test_gradients_of_slices_add_up_to_those_of_the_batch():
    layer = keras_layer(8, 4, "float32")
    inputs, factors = example(6, 5, 4, 8, "float32")
    variables = [variable.value for variable in layer.trainable_variables]

    @tf.function(jit_compile=True, autograph=False)
    def gradients(parts):
        total = [tf.zeros_like(variable) for variable in variables]
        for x, y in zip(tf.split(inputs, parts), tf.split(factors, parts), strict=True):
            with tf.control_dependencies(total), tf.GradientTape() as tape:
                loss = tf.reduce_sum(with_kernel(lstm, layer)(tf.identity(x)) * y)
            total = [a + b for a, b in zip(total, tape.gradient(loss, variables), strict=True)]
        return total

    whole = results(with_kernel(lstm, layer), layer, inputs, factors)[2:]
    assert max(errors([g.numpy() for g in gradients(2)], whole)) < 1e-5
