"""On a GPU the layers of a network become cuDNN's operation; on a CPU evaluation takes little."""

import keras
import pytest
import tensorflow as tf
from tensorflow.python.framework.kernels import get_registered_kernels_for_op

from tests.trainer.model.cudnn import (
    BACKWARD,
    FORWARD,
    is_compiled,
    list_a_gpu,
    operations,
    precisions,
)
from tests.trainer.model.lstm_examples import keras_layer
from trainer.model.dropout import DropoutKey, step_bits
from trainer.model.kernels import KERNELS
from trainer.model.network import Classifier

PRECISIONS = ["float32", "bfloat16", "float16"]


@pytest.fixture
def gpu(monkeypatch):
    list_a_gpu(monkeypatch)


def traced_network(config, kernel):
    """A network's logits and gradients for batches of any shape, traced, and its LSTM layers."""
    network = Classifier(config.model, 50, 2, 0, KERNELS[kernel])

    @tf.function(
        input_signature=[tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)],
        autograph=False,
    )
    def gradients(tokens, lengths):
        key = DropoutKey(step_bits(0, tf.constant(1, tf.int64)), tf.range(tf.shape(tokens)[0]))
        with tf.GradientTape() as tape:
            logits = network.logits(network.inputs(tokens), lengths, key)
        return tape.gradient(logits, network.weights)

    return gradients.get_concrete_function(), [*network.forward, *network.backward]


def traced_layer(layer, time=None, jit=False):
    @tf.function(input_signature=[tf.TensorSpec([None, time, 4])], jit_compile=jit, autograph=False)
    def states(inputs):
        return KERNELS["keras"](layer, inputs, True)

    @tf.function(input_signature=states.input_signature, autograph=False)
    def outer(inputs):
        return states(inputs)

    return outer.get_concrete_function()


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_all_layers_of_a_network_reach_cudnn_on_a_gpu(config, gpu, precision, bidirectional):
    config.model.update(
        precision=precision, bidirectional=bidirectional, pooling="concat", dropout=0.3
    )
    traced, layers = traced_network(config, "keras")
    assert precisions(traced, FORWARD) == [precision] * len(layers)
    assert precisions(traced, BACKWARD) == [precision] * len(layers)
    assert not is_compiled(traced)
    assert not operations(traced, "While")  # no recurrence beside cuDNN's
    assert not operations(traced, "Assert")  # which a layer with a mask has


def test_layers_with_dropped_recurrent_weights_reach_cudnn_too(config, gpu):
    config.model.update(precision="float16", bidirectional=True, recurrent_dropout=0.3)
    traced, layers = traced_network(config, "keras")
    assert precisions(traced, FORWARD) == ["float16"] * len(layers)
    assert precisions(traced, BACKWARD) == ["float16"] * len(layers)
    assert not operations(traced, "While")


@pytest.mark.skipif(
    not tf.sysconfig.get_build_info()["is_cuda_build"], reason="a TensorFlow without GPUs"
)
@pytest.mark.parametrize("operation", [FORWARD, BACKWARD])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_tensorflow_has_cudnn_in_each_precision(operation, precision):
    found = {
        tf.as_dtype(value).name
        for kernel in get_registered_kernels_for_op(operation).kernel
        for constraint in kernel.constraint
        for value in constraint.allowed_values.list.type
        if (kernel.device_type, constraint.name) == ("GPU", "T")
    }
    assert precision in found


# What Keras's rule asks of a layer, see `cudnn_ok` and `LSTM.inner_loop` there. With these the test
# above would fail; should Keras come to accept one of them, this list has to follow.
@pytest.mark.parametrize(
    "arguments",
    [
        {"activation": "relu"},
        {"recurrent_activation": "hard_sigmoid"},
        {"use_bias": False},
        {"unroll": True},
        {"recurrent_dropout": 0.1},
        {"use_cudnn": False},
    ],
    ids=lambda arguments: next(iter(arguments)),
)
def test_layer_that_breaks_a_condition_is_found(gpu, arguments):
    layer = keras.layers.LSTM(3, return_sequences=True, **arguments)
    layer.build((None, 5, 4))
    assert not operations(traced_layer(layer, time=5), FORWARD)


def test_compiled_layer_is_found(gpu):
    layer = keras_layer(3, 4, "float32")
    assert operations(traced_layer(layer), FORWARD)
    assert not is_compiled(traced_layer(layer))
    assert is_compiled(traced_layer(layer, jit=True))


def test_no_layer_reaches_cudnn_without_a_gpu(config):
    traced, _ = traced_network(config, "keras")
    assert not operations(traced, FORWARD)


@pytest.mark.parametrize("kernel", sorted(KERNELS.keys() - {"keras"}))
def test_other_kernels_are_independent_of_gpus(config, gpu, kernel):
    traced, _ = traced_network(config, kernel)
    assert not operations(traced, FORWARD)


@pytest.mark.parametrize(("training", "most"), [(True, 100), (False, 32)])
def test_cpus_kernel_keeps_the_gates_of_all_time_steps_in_training_only(
    config, training, most, monkeypatch
):
    times, operation = [], tf.raw_ops.BlockLSTMV2

    def recorded(**arguments):
        block = operation(**arguments)
        times.append(len(block.i))
        return block

    monkeypatch.setattr(tf.raw_ops, "BlockLSTMV2", recorded)
    config.model.layer_sizes = (8,)
    network = Classifier(config.model, 50, 2, 0, KERNELS["cpu"])
    key = DropoutKey(step_bits(0, tf.constant(1, tf.int64)), tf.range(3)) if training else None
    network.logits(network.inputs(tf.ones([3, 100], tf.int32)), tf.fill([3], 100), key)
    assert max(times) == most
    assert sum(times) == 100
