"""The kernels that compute an LSTM layer's recurrence, by the name that a config gives them.

    states = KERNELS["keras"](layer, inputs, True)

All take a built `keras.layers.LSTM` that returns sequences, its inputs <dtype>[batch, time, width],
and True in training, when gradients will be asked for. They return the layer's states
<dtype>[batch, time, units]. The weights are the layer's own.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from trainer.model import cpu_lstm, xla_lstm

Kernel = Callable[[keras.layers.LSTM, tf.Tensor, bool], tf.Tensor]


def _keras(layer: keras.layers.LSTM, inputs: tf.Tensor, training: bool) -> tf.Tensor:
    return layer(inputs)


def _cpu(layer: keras.layers.LSTM, inputs: tf.Tensor, training: bool) -> tf.Tensor:
    return cpu_lstm.lstm(inputs, *_weights(layer), training)


def _xla(layer: keras.layers.LSTM, inputs: tf.Tensor, training: bool) -> tf.Tensor:
    return xla_lstm.lstm(inputs, *_weights(layer))


def _weights(layer: keras.layers.LSTM) -> tuple[tf.Variable, tf.Variable, tf.Variable]:
    cell = layer.cell
    return cell.kernel.value, cell.recurrent_kernel.value, cell.bias.value


KERNELS: dict[str, Kernel] = {"keras": _keras, "cpu": _cpu, "xla": _xla}
