import numpy as np
import pytest
import tensorflow as tf

from tests.trainer.model.lstm_examples import (
    errors,
    example,
    keras_layer,
    references,
    results,
    results_by_equations,
    with_kernel,
)
from trainer.model.cpu_lstm import lstm

# batch, time, width, units
SIZES = [(64, 12, 64, 128), (5, 9, 17, 33), (2, 7, 1, 1), (3, 1, 4, 6), (1, 40, 4, 6)]
# Around the length of the pieces in which states are computed without keeping what gradients need.
TIMES = [1, 31, 32, 33, 64, 65]


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_numbers_are_those_of_the_equations(size, keep):
    layer = keras_layer(size[3], size[2], "float32")
    tensors = example(*size, "float32")
    expected = results_by_equations(layer.get_weights(), *(t.numpy() for t in tensors))
    computed = results(with_kernel(lstm, layer, keep=keep), layer, *tensors)
    assert max(errors(computed, expected)) < 1e-5


@pytest.mark.parametrize("size", SIZES)
def test_numbers_are_those_of_keras(size):
    layer = keras_layer(size[3], size[2], "float32")
    computed = results(with_kernel(lstm, layer), layer, *example(*size, "float32"))
    for expected in references(size, "float32"):
        assert max(errors(computed, expected)) < 1e-5


# Only sizes with enough numbers that the largest error is not left to chance.
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("size", SIZES[:2])
def test_error_in_mixed_precision_is_at_most_that_of_keras(size, dtype):
    layer = keras_layer(size[3], size[2], dtype)
    computed = results(with_kernel(lstm, layer), layer, *example(*size, dtype))
    keras_results, expected = references(size, dtype)
    for error, allowed in zip(
        errors(computed, expected), errors(keras_results, expected), strict=True
    ):
        assert error <= 1.5 * allowed


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_mixed_precision_rounds_inputs_matrices_and_states_only(dtype):
    inputs, _ = example(5, 9, 17, 33, dtype)
    *matrices, bias = (tf.constant(w) for w in keras_layer(33, 17, dtype).get_weights())
    rounded = [tf.cast(tf.cast(matrix, dtype), tf.float32) for matrix in matrices]
    expected = tf.cast(lstm(tf.cast(inputs, tf.float32), *rounded, bias), dtype)
    np.testing.assert_array_equal(lstm(inputs, *matrices, bias), expected)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_dtypes_are_those_of_keras(dtype):
    layer = keras_layer(3, 2, dtype)
    inputs, _ = example(4, 5, 2, 3, dtype)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = with_kernel(lstm, layer)(inputs)
    assert outputs.dtype == layer(inputs).dtype == dtype
    assert outputs.shape == (4, 5, 3)
    sources = [inputs, *(variable.value for variable in layer.trainable_variables)]
    gradients = tape.gradient(outputs, sources)
    assert [(g.dtype, g.shape) for g in gradients] == [(s.dtype, s.shape) for s in sources]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("time", TIMES)
def test_bits_do_not_depend_on_what_is_kept(time, dtype):
    layer = keras_layer(6, 4, dtype)
    tensors = example(3, time, 4, 6, dtype)
    kept, not_kept = (
        results(with_kernel(lstm, layer, keep=keep), layer, *tensors) for keep in (True, False)
    )
    for a, b in zip(kept, not_kept, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("keep", [True, False])
def test_accepts_batches_of_unknown_shape(keep):
    layer = keras_layer(6, 4, "float32")
    signature = [tf.TensorSpec([None, None, 4]), tf.TensorSpec([None, None, 6])]
    for batch, time in ((3, 5), (2, 40)):
        tensors = example(batch, time, 4, 6, "float32")
        computed = results(
            with_kernel(lstm, layer, keep=keep), layer, *tensors, signature=signature
        )
        assert max(errors(computed, results(layer, layer, *tensors))) < 1e-5


@pytest.mark.parametrize("keep", [True, False])
def test_batch_without_rows_has_states_and_gradients_without_values(keep):
    layer = keras_layer(6, 4, "float32")
    tensors = example(0, 40, 4, 6, "float32")
    states, of_inputs, *of_weights = results(with_kernel(lstm, layer, keep=keep), layer, *tensors)
    assert states.shape == (0, 40, 6)
    assert of_inputs.shape == (0, 40, 4)
    assert all((gradient == 0).all() for gradient in of_weights)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_huge_values_saturate(dtype):
    layer = keras_layer(6, 4, dtype)
    layer.set_weights([10 * np.sign(weight) for weight in layer.get_weights()])
    inputs, factors = example(3, 40, 4, 6, dtype)
    computed = results(with_kernel(lstm, layer), layer, 1e4 * inputs, factors)
    assert all(np.isfinite(tensor).all() for tensor in computed)
    assert np.abs(computed[0]).max() <= 1


def test_gradients_of_slices_add_up_to_those_of_the_batch():
    layer = keras_layer(8, 4, "float32")
    inputs, factors = example(6, 5, 4, 8, "float32")
    parts = [
        results(with_kernel(lstm, layer), layer, *part)[2:]
        for part in zip(tf.split(inputs, 2), tf.split(factors, 2), strict=True)
    ]
    whole = results(with_kernel(lstm, layer), layer, inputs, factors)[2:]
    assert max(errors([sum(pair) for pair in zip(*parts, strict=True)], whole)) < 1e-5


def test_saved_model_computes_the_same(tmp_path):
    module = tf.Module()
    layer = keras_layer(6, 4, "float32")
    module.weights = [variable.value for variable in layer.trainable_variables]
    module.states = tf.function(
        lambda inputs: lstm(inputs, *module.weights, keep=False),
        input_signature=[tf.TensorSpec([None, None, 4])],
        autograph=False,
    )
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    for batch, time in ((1, 1), (3, 70), (0, 5)):
        inputs, _ = example(batch, time, 4, 6, "float32")
        np.testing.assert_array_equal(loaded.states(inputs), module.states(inputs))
