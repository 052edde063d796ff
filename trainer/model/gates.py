"""The gates of an LSTM layer at each token, to see what it takes in, keeps and lets out.

    gates = gates_of(layer, inputs)
    gates.forget            # <float32>[batch, time, units]: 1 keeps the cell, 0 clears it

    with tf.GradientTape() as tape:
        recorder = Recorder(tape)
        states = network.with_kernel(recorder)(embedded, lengths)
    recorder.gates          # of all layers

A layer computes, with the sums in Keras's order of the gates (input, forget, cell, output),

    i, f, o = sigmoid(x K + h' R + b)      g = tanh(x K + h' R + b)
    c = f * c' + i * g                     h = o * tanh(c)

where ' marks the token before. The cell c that carries itself on is that of Hochreiter and
Schmidhuber 1997 (Long Short-Term Memory), the forget gate f that of Gers, Schmidhuber and Cummins
2000 (Learning to Forget).
"""

from typing import NamedTuple

import keras
import tensorflow as tf


class Gates(NamedTuple):
    """A layer's values after each token, all <float32>[batch, time, units]."""

    input: tf.Tensor  # i, 0 to 1: how much of the candidate is added to the cell
    forget: tf.Tensor  # f, 0 to 1: how much of the cell is kept
    candidate: tf.Tensor  # g, -1 to 1: what may be added
    output: tf.Tensor  # o, 0 to 1: how much of the cell is shown
    cell: tf.Tensor  # c: what the unit remembers
    state: tf.Tensor  # h, -1 to 1: what other units and the next layer read


def gates_of(
    layer: keras.layers.LSTM,
    inputs: tf.Tensor,
    factors: tf.Tensor | None = None,
    recurrent: tf.Tensor | None = None,
) -> Gates:
    """Returns the gates of a built layer for its inputs <dtype>[batch, time, width].

    `factors` <float32>[units] multiply the states, wherever they are read: a derivative with
    respect to them says what a unit does. `recurrent` are recurrent weights as in `kernels.Kernel`.
    All is computed in float32 from the layer's weights, so in mixed precision the layer's own
    states differ by their rounding.
    """
    cell = layer.cell
    kernel, own, bias = (w.value for w in (cell.kernel, cell.recurrent_kernel, cell.bias))
    weights = own if recurrent is None else recurrent
    scale = tf.ones([layer.units]) if factors is None else factors

    def step(before: Gates, sums: tf.Tensor) -> Gates:
        i, f, g, o = tf.split(sums + before.state @ weights, 4, axis=-1)
        i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
        c = f * before.cell + i * g
        return Gates(i, f, g, o, c, o * tf.tanh(c) * scale)

    sums = _swapped(tf.tensordot(tf.cast(inputs, tf.float32), kernel, axes=1) + bias)
    start = Gates(*[tf.zeros([tf.shape(inputs)[0], layer.units])] * len(Gates._fields))
    return Gates(*map(_swapped, tf.scan(step, sums, start)))


class Recorder:
    """A kernel that keeps the gates of each layer, in the order in which the layers are called."""

    def __init__(self, tape: tf.GradientTape):
        """`tape` watches the factors."""
        self.gates: list[Gates] = []
        self.factors: list[tf.Tensor] = []  # those of `gates_of` for each layer, all 1
        self._tape = tape

    def __call__(
        self,
        layer: keras.layers.LSTM,
        inputs: tf.Tensor,
        training: bool,
        recurrent: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Returns the states <float32>[batch, time, units], see `kernels.Kernel`."""
        factors = tf.ones([layer.units])
        self._tape.watch(factors)
        self.factors.append(factors)
        self.gates.append(gates_of(layer, inputs, factors, recurrent))
        return self.gates[-1].state


def _swapped(values: tf.Tensor) -> tf.Tensor:
    """Returns [time, batch, units] of [batch, time, units], and the other way round."""
    return tf.transpose(values, [1, 0, 2])
