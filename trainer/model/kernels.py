"""The kernels that compute an LSTM layer's recurrence, by the name that a config gives them.

    states = KERNELS["keras"](layer, inputs, True)

The weights are the layer's own, but for recurrent ones that a caller gives in their place.
"""

from typing import Protocol

import keras
import tensorflow as tf

from trainer.model import cpu_lstm, xla_lstm


class Kernel(Protocol):
    """Computes the recurrence of a layer."""

    def __call__(
        self,
        layer: keras.layers.LSTM,
        inputs: tf.Tensor,
        training: bool,
        recurrent: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Returns the states <dtype>[batch, time, units] of `inputs` <dtype>[batch, time, width].

        Args:
            layer: built, and returns sequences.
            inputs: what the layer reads.
            training: True when gradients will be asked for.
            recurrent: <float32>[units, 4 * units] in place of the layer's recurrent weights.
        """
        ...


def _keras(
    layer: keras.layers.LSTM,
    inputs: tf.Tensor,
    training: bool,
    recurrent: tf.Tensor | None = None,
) -> tf.Tensor:
    if recurrent is None:
        return layer(inputs)
    # The layer reads its own variables, which may have other values in this scope.
    with keras.StatelessScope([(layer.cell.recurrent_kernel, recurrent)]):
        return layer(inputs)


def _cpu(
    layer: keras.layers.LSTM,
    inputs: tf.Tensor,
    training: bool,
    recurrent: tf.Tensor | None = None,
) -> tf.Tensor:
    return cpu_lstm.lstm(inputs, *_weights(layer, recurrent), training)


def _xla(
    layer: keras.layers.LSTM,
    inputs: tf.Tensor,
    training: bool,
    recurrent: tf.Tensor | None = None,
) -> tf.Tensor:
    return xla_lstm.lstm(inputs, *_weights(layer, recurrent))


def _weights(
    layer: keras.layers.LSTM, recurrent: tf.Tensor | None
) -> tuple[tf.Variable, tf.Variable | tf.Tensor, tf.Variable]:
    cell = layer.cell
    own = cell.recurrent_kernel.value
    return cell.kernel.value, own if recurrent is None else recurrent, cell.bias.value


KERNELS: dict[str, Kernel] = {"keras": _keras, "cpu": _cpu, "xla": _xla}
