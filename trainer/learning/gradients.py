"""Sums a step's metrics and gradients over the slices of the global batch.

    metrics, gradients = summed_gradients(objective, state, batch, config)    # in a replica

A slice is what is computed at once: some rows of the batch, the same ones on any number of
replicas. With `strategy.reduction='tree'` the sums of the slices are added in one order, whoever
computed them: in that of a binary tree, (0 + 1) + (2 + 3), of which each replica adds up its own
branch, and the embedding's rows one slice after the other. So the bits do not depend on the number
of replicas.
"""

from collections.abc import Sequence
from functools import partial
from typing import TypeAlias

import ml_collections
import tensorflow as tf

from input_pipeline.pipeline import Batch
from trainer.learning.objectives.objective import Objective, train_metric_names
from trainer.learning.slices import Slice, side_by_side, slices_of
from trainer.learning.train_state import TrainState
from trainer.machines.collectives import gather
from trainer.machines.strategy import reduces_in_tree
from trainer.model.dropout import DropoutKey, step_bits

# Replicas exchange a multiple of this many rows of the embedding's gradient.
_ROWS = 256

# The gradient of a weight, or of the embedding the rows of the tokens that occurred, each once.
_Gradient: TypeAlias = tf.Tensor | tf.IndexedSlices


def summed_gradients(
    objective: Objective, state: TrainState, batch: Batch, config: ml_collections.ConfigDict
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Returns metrics <float32>[names, 2] and dense gradients, sums over all replicas' batches.

    `batch` is this replica's part of the global batch. The gradients are of the loss times
    loss_scale / batch_size, which keeps them in float16's range.
    """
    replica = tf.distribute.get_replica_context()
    slices = slices_of(batch, config.train.slices)
    factors = _term_factors(objective, batch, replica)
    bits = step_bits(config.seed, state.step)
    compute = partial(_slice_sums, objective, state, factors, bits, config)
    each_metrics, each_gradients = zip(*side_by_side(slices, compute), strict=True)
    metrics = _tree_sum(each_metrics)
    gradients = [_added(column) for column in zip(*each_gradients, strict=True)]
    if reduces_in_tree(config, replica.strategy):
        return _over_replicas(metrics, gradients, replica)
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, (metrics, gradients))


def _slice_sums(
    objective: Objective,
    state: TrainState,
    factors: tf.Tensor,
    bits: tf.Tensor,
    config: ml_collections.ConfigDict,
    part: Slice,
) -> tuple[tf.Tensor, list[_Gradient]]:
    """Returns the metrics and gradients of a slice.

    `factors` are those of `_term_factors`, and `bits` those of the step.
    """
    key = DropoutKey(bits, part.rows)
    frozen = objective.frozen(state.model, part.batch, key)
    with tf.GradientTape() as tape:
        sums = objective.sums(state.model, part.batch, key, frozen)
        loss = tf.reduce_sum(factors * sums.losses)
        scaled = loss * (state.loss_scale / config.train.batch_size)
    # A term that joins later may have weights of its own.
    zero = tf.UnconnectedGradients.ZERO
    gradients = tape.gradient(scaled, state.model.weights, unconnected_gradients=zero)
    weights = tf.unstack(objective.weights(part.batch))
    terms = zip(tf.unstack(sums.losses), weights, strict=True)
    pairs = {
        **dict(zip(objective.terms, terms, strict=True)),
        **sums.metrics,
        "loss": (loss, weights[0]),
    }
    metrics = tf.stack([tf.stack(pairs[name]) for name in train_metric_names(objective)])
    sparse = reduces_in_tree(config, tf.distribute.get_strategy())
    return metrics, [_each_row_once(g) if sparse else tf.convert_to_tensor(g) for g in gradients]


def _term_factors(
    objective: Objective, batch: Batch, replica: tf.distribute.ReplicaContext
) -> tf.Tensor:
    """Returns what to multiply each term's sum with <float32>[terms].

    Term k counts factor_k / W_k, with W_k its weight in the global batch. The total is divided by
    W_0 in the end, so here that is factor_k * W_0 / W_k. Weights count reviews or tokens, so their
    sum does not depend on its order.
    """
    factors = tf.constant(list(objective.terms.values()))
    if len(objective.terms) == 1:
        return factors  # W_0 / W_0, and no collective call
    weights = replica.all_reduce(tf.distribute.ReduceOp.SUM, objective.weights(batch))
    return factors * tf.math.divide_no_nan(weights[0], weights)


def _each_row_once(gradient: _Gradient) -> _Gradient:
    """Adds up the rows of a token that occurs several times."""
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    ids, places = tf.unique(gradient.indices)
    rows = tf.math.unsorted_segment_sum(gradient.values, places, tf.size(ids))
    return tf.IndexedSlices(rows, ids, gradient.dense_shape)


def _added(gradients: Sequence[_Gradient]) -> _Gradient:
    """Adds the gradients of a weight by several slices; rows are put behind each other."""
    first = gradients[0]
    if len(gradients) == 1:
        return first
    if not isinstance(first, tf.IndexedSlices):
        return _tree_sum(gradients)
    rows = tf.concat([gradient.values for gradient in gradients], axis=0)
    ids = tf.concat([gradient.indices for gradient in gradients], axis=0)
    return tf.IndexedSlices(rows, ids, first.dense_shape)


def _over_replicas(
    metrics: tf.Tensor, gradients: Sequence[_Gradient], replica: tf.distribute.ReplicaContext
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Adds the sums of all replicas in a fixed order, and makes the gradients dense."""
    sparse = [g for g in gradients if isinstance(g, tf.IndexedSlices)]
    dense = [metrics, *(g for g in gradients if not isinstance(g, tf.IndexedSlices))]
    # What is dense travels as one tensor, behind the replica's number and those of its rows.
    head = tf.stack([replica.replica_id_in_sync_group, *(tf.size(g.indices) for g in sparse)])
    values = [tf.cast(head, tf.float32), *(tf.reshape(value, [-1]) for value in dense)]
    flat = tf.concat(values, axis=0)
    parts = gather(flat)
    order = tf.argsort(parts[:, 0])
    parts = tf.gather(parts, order)
    most = tf.cast(tf.reduce_max(parts[:, 1 : head.shape[0]], axis=0), tf.int32)
    total = _tree_sum(tf.unstack(parts[:, head.shape[0] :]))
    pieces = tf.split(total, [value.shape.num_elements() for value in dense])
    sums = iter([tf.reshape(p, value.shape) for p, value in zip(pieces, dense, strict=True)])
    sizes = iter(tf.unstack(most, len(sparse)))
    metrics = next(sums)
    return metrics, [
        _dense(g, next(sizes), order) if isinstance(g, tf.IndexedSlices) else next(sums)
        for g in gradients
    ]


def _dense(gradient: tf.IndexedSlices, most: tf.Tensor, order: tf.Tensor) -> tf.Tensor:
    """Returns the sum of all replicas' rows: of each token in the order of the slices.

    `most` <int32>[] is the largest number of rows of a replica, and `order` <int32>[replicas] that
    of the replicas among what is gathered.
    """
    rows, ids = gradient.values, gradient.indices
    if order.shape[0] > 1:
        size = (most // _ROWS + 1) * _ROWS
        lacks = size - tf.size(ids)
        # Rows of the token -1 count for nothing.
        numbers = tf.pad(ids, [[0, lacks]], constant_values=-1)
        # The numbers travel as one more column, bit by bit.
        column = tf.bitcast(numbers, tf.float32)[:, tf.newaxis]
        table = tf.concat([tf.pad(rows, [[0, lacks], [0, 0]]), column], axis=1)
        table = tf.gather(gather(table, rows=size), order)
        rows = tf.reshape(table[:, :, :-1], [-1, rows.shape[1]])
        ids = tf.bitcast(tf.reshape(table[:, :, -1], [-1]), tf.int32)
    return tf.math.unsorted_segment_sum(rows, ids, gradient.dense_shape[0])


def _tree_sum(values: Sequence[tf.Tensor]) -> tf.Tensor:
    """Returns the sum of a power of two of tensors, in the order of a binary tree.

    Of other numbers the last one waits for the next level.
    """
    values = list(values)
    while len(values) > 1:
        pairs = zip(values[::2], values[1::2], strict=False)
        values = [_plus(a, b) for a, b in pairs] + values[len(values) // 2 * 2 :]
    return values[0]


def _plus(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Returns a + b as an operation that TensorFlow's optimiser leaves alone.

    Of nested additions it makes a single one, which adds in another order.
    """
    total = tf.nn.bias_add(tf.reshape(a, [1, -1]), tf.reshape(b, [-1]))
    return tf.reshape(total, a.shape)
