"""The kernels that compute an LSTM layer's recurrence, by the name that a config gives them.

    states = KERNELS["keras"](layer, inputs)

All take a built `keras.layers.LSTM` that returns sequences and its inputs
<dtype>[batch, time, width], and return its states <dtype>[batch, time, units]. The weights are the
layer's own.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from trainer.model.xla_lstm import lstm

Kernel = Callable[[keras.layers.LSTM, tf.Tensor], tf.Tensor]


def _keras(layer: keras.layers.LSTM, inputs: tf.Tensor) -> tf.Tensor:
    return layer(inputs)


def _xla(layer: keras.layers.LSTM, inputs: tf.Tensor) -> tf.Tensor:
    cell = layer.cell
    weights = (cell.kernel, cell.recurrent_kernel, cell.bias)
    return lstm(inputs, *(weight.value for weight in weights))


KERNELS: dict[str, Kernel] = {"keras": _keras, "xla": _xla}
