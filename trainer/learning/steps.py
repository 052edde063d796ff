"""What a replica does in a step, and the loop over steps inside the graph.

train = make_train_steps(strategy, state, config, total_steps)
history = train(iterator, tf.constant(8))       # StepMetrics of <float32>[8]
logits = make_logits(strategy, state.evaluated)(next(iterator))
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import ml_collections
import tensorflow as tf

from input_pipeline.pipeline import Batch
from trainer.learning import losses, schedule
from trainer.learning.optimizers import increment
from trainer.learning.train_state import TrainState
from trainer.model.dropout import DropoutKey
from trainer.model.network import StackedLSTM

# Loss scaling of Micikevicius et al. 2018, arXiv:1710.03740: halve on overflow, double after this
# many steps without one.
_STEPS_TO_DOUBLE = 2000


class StepMetrics(NamedTuple):
    """Of one step over the whole global batch <float32>[], or of several <float32>[steps]."""

    loss_sum: tf.Tensor
    weight: tf.Tensor
    correct: tf.Tensor  # weight of the reviews on the right side of one half
    gradient_norm: tf.Tensor  # before clipping
    learning_rate: tf.Tensor
    input_wait: tf.Tensor  # seconds until the step's batch was there


def make_train_steps(
    strategy: tf.distribute.Strategy,
    state: TrainState,
    config: ml_collections.ConfigDict,
    total_steps: int,
    widths: Sequence[int] = (),
) -> Callable[[Iterator[Batch], tf.Tensor], StepMetrics]:
    """A function (iterator, count <int32>[]) that does `count` steps in the graph.

    With `widths` it has a form of the step for each of these, of static shape, as TPUs need it, and
    takes batches of no other width.
    """

    def replica_step(batch: Batch) -> tf.Tensor:
        return train_step(state, batch, config, total_steps)

    def step(batch: Batch) -> tf.Tensor:
        return strategy.experimental_local_results(strategy.run(replica_step, (batch,)))[0]

    def step_of_any_width(batch: Batch) -> tf.Tensor:
        if not widths:
            return step(batch)
        tokens = strategy.experimental_local_results(batch.tokens)[0]
        branch = tf.argmax(tf.equal(tf.shape(tokens)[1], widths), output_type=tf.int32)
        return tf.switch_case(branch, [partial(step_of, batch, width) for width in widths])

    def step_of(batch: Batch, width: int) -> tf.Tensor:
        return step(
            tf.nest.map_structure(
                # Of a batch's tensors only the tokens have two dimensions.
                lambda part: tf.ensure_shape(part, [*part.shape[:1], width][: part.shape.rank]),
                batch,
                expand_composites=True,
            )
        )

    # Plain TensorFlow, traced faster as such; and autograph would leave files in TMPDIR.
    @tf.function(autograph=False)
    def train_steps(iterator: Iterator[Batch], count: tf.Tensor) -> StepMetrics:
        def step_of_history(i: tf.Tensor, history: tf.TensorArray) -> tuple:
            asked = tf.timestamp()
            batch = next(iterator)
            with tf.control_dependencies(strategy.experimental_local_results(batch.weights)):
                wait = tf.cast(tf.timestamp() - asked, tf.float32)
            metrics = step_of_any_width(batch)
            return i + 1, history.write(i, tf.concat([metrics, [wait]], axis=0))

        history = tf.TensorArray(tf.float32, count, element_shape=[len(StepMetrics._fields)])
        _, history = tf.while_loop(lambda i, _: i < count, step_of_history, (0, history))
        return StepMetrics(*tf.unstack(history.stack(), axis=1))

    return train_steps


def train_step(
    state: TrainState, batch: Batch, config: ml_collections.ConfigDict, total_steps: int
) -> tf.Tensor:
    """One step of one replica on its share of the global batch, in a replica context.

    Gradients of sums are added up over micro-batches and replicas before anything is decided on
    them: only then are they divided, tested for finiteness, clipped and applied, so every replica
    decides the same. Returns StepMetrics but for the last field <float32>[5].
    """
    replica = tf.distribute.get_replica_context()
    sums, gradients = _summed_gradients(state, batch, config, replica)
    sums, gradients = replica.all_reduce(tf.distribute.ReduceOp.SUM, (sums, gradients))
    loss_sum, weight, correct = tf.unstack(sums)
    # Undoes the factor that `_summed_gradients` puts in, and makes a mean of the sum.
    unscale = config.train.batch_size / (state.loss_scale * weight)
    norm = tf.linalg.global_norm(gradients) * unscale
    clip = config.optimizer.clip_norm
    factor = unscale * (tf.minimum(1.0, clip / norm) if clip else 1.0)
    learning_rate = schedule.learning_rate(state.step, config.optimizer, total_steps)

    def update() -> None:
        clipped = [gradient * factor for gradient in gradients]
        state.optimizer.update(state.model.weights, clipped, learning_rate)
        if state.average:
            _average(state, config.train.average_decay)

    if config.model.precision == "float16":
        finite = tf.math.is_finite(norm)
        tf.cond(finite, lambda: (update(), tf.no_op())[1], tf.no_op)
        _adapt_loss_scale(state, finite)
    else:
        update()
    increment(state.step)
    return tf.stack([loss_sum, weight, correct, norm, learning_rate])


def _summed_gradients(
    state: TrainState, batch: Batch, config: ml_collections.ConfigDict, replica
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """(loss, weight, correct) sums <float32>[3] and dense gradients of this replica.

    The gradients are of the loss times loss_scale / batch_size, which keeps them in float16's
    range.
    """
    variables = state.model.weights
    reviews = batch.tokens.shape[0]
    rows = tf.range(reviews) + replica.replica_id_in_sync_group * reviews
    scale = state.loss_scale / config.train.batch_size

    def part(tokens, lengths, labels, row_weights, rows):
        key = DropoutKey(config.seed, state.step, rows)
        with tf.GradientTape() as tape:
            logits = state.model(tokens, lengths, dropout=key)
            loss_sum, weight = losses.binary_cross_entropy(
                logits, labels, row_weights, config.train.label_smoothing
            )
            scaled = loss_sum * scale
        correct = tf.reduce_sum(row_weights * tf.cast((logits > 0) == (labels > 0.5), tf.float32))
        gradients = tape.gradient(scaled, variables)
        # The embedding's gradient comes as slices, a word met twice as two of them.
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
        return tf.stack([loss_sum, weight, correct]), gradients

    parts = config.train.micro_batches
    if parts == 1:
        return part(*batch, rows)
    arguments = [tf.split(tensor, parts) for tensor in (*batch, rows)]
    total = None
    for micro_batch in zip(*arguments, strict=True):
        # One part after the other: together they would need the memory of the whole.
        with tf.control_dependencies(tf.nest.flatten(total) if total else []):
            done = part(*map(tf.identity, micro_batch))
        total = done if total is None else tf.nest.map_structure(tf.add, total, done)
    return total


def _average(state: TrainState, decay: float) -> None:
    """Moves the averaged weights towards the new ones.

    The first updates count for more, as in tf.train.ExponentialMovingAverage, so that the initial
    weights are soon forgotten.
    """
    updates = tf.cast(state.optimizer.updates, tf.float32)
    share = 1.0 - tf.minimum(decay, (1.0 + updates) / (10.0 + updates))
    for mean, weight in zip(state.average.weights, state.model.weights, strict=True):
        tf.raw_ops.AssignAddVariableOp(resource=mean.handle, value=(weight - mean) * share)


def _adapt_loss_scale(state: TrainState, finite: tf.Tensor) -> None:
    """Halves the loss scale after an overflow, doubles it after long without one."""
    since = tf.where(finite, state.steps_since_overflow + 1, 0)
    double = since >= _STEPS_TO_DOUBLE
    factor = tf.where(finite, tf.where(double, 2.0, 1.0), 0.5)
    for variable, value in (
        (state.loss_scale, tf.maximum(state.loss_scale * factor, 1.0)),
        (state.steps_since_overflow, tf.where(double, tf.zeros_like(since), since)),
    ):
        tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value)


def make_logits(
    strategy: tf.distribute.Strategy, model: StackedLSTM, static: bool = False
) -> Callable[[Batch], tf.Tensor]:
    """A function from a distributed batch to the logits <float32>[global batch] of its rows.

    `static` has it traced for each width by itself, as TPUs need it.
    """

    # One batch is as wide as it is; the second width makes the trace one for all.
    @tf.function(reduce_retracing=not static, autograph=False)
    def logits(batch: Batch) -> tf.Tensor:
        mine = strategy.run(lambda b: model(b.tokens, b.lengths), (batch,))
        return strategy.gather(mine, axis=0)

    return logits
