"""An LSTM layer for CPUs, made of TensorFlow's operations that compute many small ones in one.

cell = layer.cell                     # of a built keras.layers.LSTM
outputs = lstm(inputs, cell.kernel, cell.recurrent_kernel, cell.bias)

It computes what keras.layers.LSTM(return_sequences=True) does. The products of a time step are
small, and what surrounds them costs as much as they do. So BlockLSTMV2 computes all time steps of
the forward pass, and LSTMBlockCellGrad the elementwise part of a step of the backward pass, whose
loop then holds one product. The gradients of inputs and weights are one product each after the
loop, for all tokens at once.

Both operations run on one thread here. A caller that splits a batch keeps several cores busy.
"""

from typing import Any

import tensorflow as tf

_STEPS_AT_ONCE = 32  # time steps of the forward pass without a backward pass, to bound its memory


def lstm(
    inputs: tf.Tensor, kernel: Any, recurrent_kernel: Any, bias: Any, keep: bool = True
) -> tf.Tensor:
    """Returns the states <dtype>[batch, time, units] of `inputs` <dtype>[batch, time, width].

    `kernel` <float32>[width, 4 * units], `recurrent_kernel` <float32>[units, 4 * units] and `bias`
    <float32>[4 * units] are tensors or variables of TensorFlow or Keras, with the gates in Keras's
    order: input, forget, cell, output. Inputs, matrices and states are rounded to `dtype`; what is
    between them is in float32. With `keep` the values that the gradients need are kept; without,
    less memory is taken, and gradients would compute them a second time.
    """
    dtype = inputs.dtype

    @tf.custom_gradient
    def layer(tokens: tf.Tensor, kernel: tf.Tensor, recurrent: tf.Tensor, bias: tf.Tensor) -> tuple:
        weights = tf.concat([kernel, recurrent], axis=0), bias
        kept = _block(tokens, *weights) if keep else None
        states = kept.h if kept else _states(tokens, *weights)

        def gradient(of_states: tf.Tensor) -> tuple[tf.Tensor, ...]:
            return _backward(of_states, tokens, kernel, recurrent, kept or _block(tokens, *weights))

        return states, gradient

    matrices = (tf.cast(tf.cast(part, dtype), tf.float32) for part in (kernel, recurrent_kernel))
    tokens = tf.cast(tf.transpose(inputs, [1, 0, 2]), tf.float32)
    states = layer(tokens, *matrices, tf.convert_to_tensor(bias))
    return tf.cast(tf.transpose(states, [1, 0, 2]), dtype)


def _block(
    tokens: tf.Tensor,
    weights: tf.Tensor,
    bias: tf.Tensor,
    before: tuple[tf.Tensor, tf.Tensor] | None = None,
) -> Any:
    """Returns what BlockLSTMV2 computes: gates i, f, o, ci, states cs, h and co = tanh(cs).

    All are <float32>[time, batch, units]. `tokens` is <float32>[time, batch, width], `weights`
    <float32>[width + units, 4 * units] and `before` the states (cs, h) <float32>[batch, units]
    before the first token, by default zeros.
    """
    units = bias.shape[0] // 4
    cell, hidden = before or [tf.zeros([tf.shape(tokens)[1], units])] * 2
    unused = tf.zeros([units])
    return tf.raw_ops.BlockLSTMV2(
        seq_len_max=tf.shape(tokens, tf.int64)[0],
        x=tokens,
        cs_prev=cell,
        h_prev=hidden,
        w=weights,
        wci=unused,
        wcf=unused,
        wco=unused,
        b=bias,
        cell_clip=0.0,  # off
        use_peephole=False,
    )


def _states(tokens: tf.Tensor, weights: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """Returns `h` of `_block` without keeping the rest of more than some time steps."""
    time, units = tf.shape(tokens)[0], bias.shape[0] // 4

    def some(t: tf.Tensor, cell: tf.Tensor, hidden: tf.Tensor, states: tf.TensorArray) -> tuple:
        part = _block(tokens[t : t + _STEPS_AT_ONCE], weights, bias, (cell, hidden))
        states = states.write(t // _STEPS_AT_ONCE, part.h)
        return t + _STEPS_AT_ONCE, part.cs[-1], part.h[-1], states

    start = tf.zeros([tf.shape(tokens)[1], units])
    states = tf.TensorArray(
        tf.float32, -(-time // _STEPS_AT_ONCE), infer_shape=False, element_shape=[None, None, units]
    )
    return tf.while_loop(lambda t, *_: t < time, some, (0, start, start, states))[-1].concat()


def _backward(
    of_states: tf.Tensor, tokens: tf.Tensor, kernel: tf.Tensor, recurrent: tf.Tensor, kept: Any
) -> tuple[tf.Tensor, ...]:
    """Returns the gradients of tokens, kernel, recurrent kernel and bias, all <float32>.

    `of_states` <float32>[time, batch, units] is the gradient of `kept.h`.
    """
    time, batch, units = tf.shape(tokens)[0], tf.shape(tokens)[1], recurrent.shape[0]
    to_states = tf.transpose(_icfo(recurrent))  # once, rather than in each step's product
    start = tf.zeros([batch, units])
    cell_before = tf.concat([start[None], kept.cs[:-1]], axis=0)
    # The operation takes these arguments only for their shapes.
    shapes = {
        "x": start,
        "h_prev": start,
        "cs": start,
        "w": tf.zeros([2 * units, 4 * units]),
        "b": tf.zeros([4 * units]),
        **dict.fromkeys(("wci", "wcf", "wco"), tf.zeros([units])),
    }

    def step(t: tf.Tensor, dh: tf.Tensor, dc: tf.Tensor, sums: tf.TensorArray) -> tuple:
        of_step = tf.raw_ops.LSTMBlockCellGrad(
            **shapes,
            cs_prev=cell_before[t],
            i=kept.i[t],
            f=kept.f[t],
            o=kept.o[t],
            ci=kept.ci[t],
            co=kept.co[t],
            cs_grad=dc,
            h_grad=dh + of_states[t],
            use_peephole=False,
        )
        before = tf.matmul(of_step.dicfo, to_states)
        return t - 1, before, of_step.cs_prev_grad, sums.write(t, of_step.dicfo)

    sums = tf.TensorArray(tf.float32, time, element_shape=[None, 4 * units])
    loop = tf.while_loop(lambda t, *_: t >= 0, step, (time - 1, start, start, sums))
    of_sums = loop[-1].stack()  # of the gates' sums, in the order of `_icfo`
    flat = tf.reshape(of_sums, [-1, 4 * units])
    return (
        tf.reshape(tf.matmul(flat, _icfo(kernel), transpose_b=True), tf.shape(tokens)),
        _icfo(_product(tokens, of_sums)),
        _icfo(_product(kept.h[:-1], of_sums[1:])),  # there is no state before the first token
        # The sum over the rows; faster than reduce_sum.
        _icfo(tf.raw_ops.BiasAddGrad(out_backprop=flat)),
    )


def _product(left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """Returns left^T right <float32>[m, n], summed over time and batch of [time, batch, m or n]."""
    rows = (tf.reshape(part, [-1, part.shape[2]]) for part in (left, right))
    return tf.matmul(*rows, transpose_a=True)


def _icfo(gates: tf.Tensor) -> tf.Tensor:
    """Exchanges the second and third quarter of the last dimension.

    So [..., 4 * units] in Keras's order of gates gets the order of LSTMBlockCellGrad: input, cell,
    forget, output; and the other way round.
    """
    i, f, c, o = tf.split(gates, 4, axis=-1)
    return tf.concat([i, c, f, o], axis=-1)
