"""An LSTM layer for XLA, whose loops work in a TPU's fast memory.

cell = layer.cell                     # of a built keras.layers.LSTM
outputs = lstm(inputs, cell.kernel, cell.recurrent_kernel, cell.bias)

It computes what keras.layers.LSTM(return_sequences=True) does. XLA's form of that layer keeps more
values than fit the fast memory, and waits in every time step for a copy between fast and main
memory. Here a loop holds only what depends on the step before: the states h and c in the forward
pass, their gradients in the backward pass. Input projections, the gates for the backward pass and
the gradients of the weights are computed outside the loops, for all tokens at once.

Outside the loops tensors are <dtype>[time * batch, units]. The flat shape matters: of
[time, batch, units] XLA makes time the innermost dimension in memory, and then each time step has
to gather the rows of its token from all over the tensor.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf

# Kernel, recurrent kernel and bias, each with one tensor for each gate.
_Weights = tuple[list[tf.Tensor], list[tf.Tensor], list[tf.Tensor]]


def lstm(inputs: tf.Tensor, kernel: Any, recurrent_kernel: Any, bias: Any) -> tf.Tensor:
    """Returns the states <dtype>[batch, time, units] of `inputs` <dtype>[batch, time, width].

    `kernel` <float32>[width, 4 * units], `recurrent_kernel` <float32>[units, 4 * units] and `bias`
    <float32>[4 * units] are tensors or variables of TensorFlow or Keras, with the gates in Keras's
    order: input, forget, cell, output. Matrix products are in `dtype`, the rest is in float32.
    """
    batch, time, width = (n or tf.shape(inputs)[axis] for axis, n in enumerate(inputs.shape))

    @tf.custom_gradient
    def layer(tokens: tf.Tensor, kernel: tf.Tensor, recurrent: tf.Tensor, bias: tf.Tensor) -> tuple:
        weights = _gates(kernel, tokens.dtype), _gates(recurrent, tokens.dtype), _gates(bias)
        hidden, cell = _forward(tokens, weights, batch, time)

        def gradient(of_hidden: tf.Tensor) -> tuple[tf.Tensor, ...]:
            return _backward(of_hidden, tokens, weights, hidden, cell, batch, time)

        return hidden, gradient

    tokens = tf.reshape(tf.transpose(inputs, [1, 0, 2]), [time * batch, width])
    hidden = layer(tokens, *map(tf.convert_to_tensor, (kernel, recurrent_kernel, bias)))
    return tf.transpose(tf.reshape(hidden, [time, batch, hidden.shape[1]]), [1, 0, 2])


def _forward(
    tokens: tf.Tensor, weights: _Weights, batch: tf.Tensor, time: tf.Tensor
) -> list[tf.Tensor]:
    """Returns (h <dtype>, c <float32>), both [time * batch, units].

    `tokens` is <dtype>[time * batch, width].
    """
    kernels, recurrents, biases = weights
    inputs = [_product(tokens, k) + b for k, b in zip(kernels, biases, strict=True)]
    start = tf.zeros([batch, biases[0].shape[0]])

    def step(t: tf.Tensor, h: tf.Tensor, c: tf.Tensor, *buffers: tf.TensorArray) -> tuple:
        sums = [
            _at(gate, t, batch) + _product(h, r) for gate, r in zip(inputs, recurrents, strict=True)
        ]
        i, f, g, o = _activated(sums)
        c = f * c + i * g
        h = tf.cast(o * tf.tanh(c), tokens.dtype)
        return t + 1, h, c, *_written(buffers, t, (h, c))

    buffers = _buffers((tokens.dtype, tf.float32), time, start.shape)
    first = (0, tf.cast(start, tokens.dtype), start, *buffers)
    return _rows(tf.while_loop(lambda t, *_: t < time, step, first)[3:])


def _backward(
    of_hidden: tf.Tensor,
    tokens: tf.Tensor,
    weights: _Weights,
    hidden: tf.Tensor,
    cell: tf.Tensor,
    batch: tf.Tensor,
    time: tf.Tensor,
) -> tuple[tf.Tensor, ...]:
    """Returns the gradients of tokens <dtype> and of kernel, recurrent kernel and bias <float32>.

    `of_hidden` <dtype>[time * batch, units] is the gradient of `hidden`; the other arguments are
    those of `_forward` and what it returns.
    """
    kernels, recurrents, biases = weights
    hidden_before, cell_before = _shifted(hidden, batch), _shifted(cell, batch)
    # Computed a second time: without four more tensors to keep, the others fit the fast memory.
    i, f, g, o = _activated(
        _product(tokens, k) + b + _product(hidden_before, r)
        for k, r, b in zip(kernels, recurrents, biases, strict=True)
    )
    # The gradient of c is that of h times `to_cell`. The gradient of each gate's sum is that of c
    # (for the output gate that of h) times its factor.
    squashed = tf.tanh(cell)
    to_cell = o * (1 - squashed * squashed)
    factors = (
        g * i * (1 - i),
        cell_before * f * (1 - f),
        i * (1 - g * g),
        squashed * o * (1 - o),
    )
    of_hidden = tf.cast(of_hidden, tf.float32)

    def step(t: tf.Tensor, dh: tf.Tensor, dc: tf.Tensor, *buffers: tf.TensorArray) -> tuple:
        dh += _at(of_hidden, t, batch)
        dc += dh * _at(to_cell, t, batch)
        sums = _of_sums(dh, dc, [_at(factor, t, batch) for factor in factors])
        before = tf.add_n(
            [_product(s, r, transpose_b=True) for s, r in zip(sums, recurrents, strict=True)]
        )
        return t - 1, before, dc * _at(f, t, batch), *_written(buffers, t, (dh, dc))

    last = tf.zeros([batch, cell.shape[1]])
    buffers = _buffers((tf.float32, tf.float32), time, last.shape)
    loop = tf.while_loop(lambda t, *_: t >= 0, step, (time - 1, last, last, *buffers))
    dh, dc = _rows(loop[3:])
    sums = tf.concat(_of_sums(dh, dc, factors), axis=1)
    rounded = tf.cast(sums, tokens.dtype)
    return (
        tf.matmul(rounded, tf.concat(kernels, axis=1), transpose_b=True),
        # Sums over all tokens: not in float16, which would lose them where it adds up in itself.
        tf.matmul(tf.cast(tokens, tf.float32), tf.cast(rounded, tf.float32), transpose_a=True),
        tf.matmul(
            tf.cast(hidden_before, tf.float32), tf.cast(rounded, tf.float32), transpose_a=True
        ),
        tf.reduce_sum(sums, axis=0),
    )


def _of_sums(dh: tf.Tensor, dc: tf.Tensor, factors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Returns the gradients of the four gates' sums, all <float32>[rows, units]."""
    i, f, g, o = factors
    return [dc * i, dc * f, dc * g, dh * o]


def _activated(sums: Iterable[tf.Tensor]) -> tuple[tf.Tensor, ...]:
    """Returns the gates of their four sums <float32>[rows, units]."""
    i, f, g, o = sums
    return tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)


def _gates(weight: tf.Tensor, dtype: tf.DType = tf.float32) -> list[tf.Tensor]:
    """Returns a weight <dtype>[..., units] for each gate.

    With one weight [..., 4 * units] each time step would have to split its result.
    """
    return tf.split(tf.cast(weight, dtype), 4, axis=-1)


def _product(values: tf.Tensor, weight: tf.Tensor, transpose_b: bool = False) -> tf.Tensor:
    """Returns a matrix product computed in the dtype of `weight`, as <float32>."""
    return tf.cast(
        tf.matmul(tf.cast(values, weight.dtype), weight, transpose_b=transpose_b), tf.float32
    )


def _at(rows: tf.Tensor, t: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
    """Returns the rows [batch, units] of token t of [time * batch, units]."""
    return tf.slice(rows, [t * batch, 0], [batch, rows.shape[1]])


def _shifted(rows: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
    """Returns for each token the rows of the token before; those of the first are 0."""
    return tf.concat([tf.zeros_like(rows[:batch]), rows[:-batch]], axis=0)


def _buffers(
    dtypes: Sequence[tf.DType], time: tf.Tensor, shape: tf.TensorShape
) -> list[tf.TensorArray]:
    return [tf.TensorArray(dtype, time, element_shape=shape) for dtype in dtypes]


def _written(
    buffers: Sequence[tf.TensorArray], t: tf.Tensor, values: Sequence[tf.Tensor]
) -> list[tf.TensorArray]:
    return [buffer.write(t, value) for buffer, value in zip(buffers, values, strict=True)]


def _rows(buffers: Sequence[tf.TensorArray]) -> list[tf.Tensor]:
    """Returns full buffers as [time * batch, units]."""
    return [tf.reshape(buffer.stack(), [-1, buffer.element_shape[1]]) for buffer in buffers]
