"""The training step of a replica, and the loop over steps inside the graph.

train = make_train_steps(strategy, objective, state, config, total_steps)
results = train(iterator, tf.constant(8))       # a StepResult with a leading [8]
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import ml_collections
import tensorflow as tf

from input_pipeline.pipeline import Batch
from trainer.learning import schedule
from trainer.learning.gradients import summed_gradients
from trainer.learning.objectives.objective import Objective, train_metric_names
from trainer.learning.optimizers import increment
from trainer.learning.train_state import TrainState
from trainer.model.network import Encoder

# Loss scaling of Micikevicius et al. 2018, arXiv:1710.03740: halve on overflow, double after this
# many steps without one.
_STEPS_TO_DOUBLE = 2000


class StepResult(NamedTuple):
    """What a step says of the whole global batch; of several steps with a leading [steps]."""

    metrics: tf.Tensor  # <float32>[names, 2], sum and weight in the order of `train_metric_names`
    gradient_norm: tf.Tensor  # <float32>[], before clipping
    learning_rate: tf.Tensor  # <float32>[]
    input_wait: tf.Tensor  # <float32>[], seconds until the step's batch was ready


def by_objective(
    strategy: tf.distribute.Strategy,
    state: TrainState,
    config: ml_collections.ConfigDict,
    total_steps: int,
    widths: Sequence[int] = (),
) -> Callable[..., Callable[[Iterator[Batch], tf.Tensor], StepResult]]:
    """Returns a function from an objective to its `make_train_steps`, which keeps what it made.

    A run's objective may change from epoch to epoch.
    """

    @functools.cache
    def made(objective: Objective) -> Callable[[Iterator[Batch], tf.Tensor], StepResult]:
        return make_train_steps(strategy, objective, state, config, total_steps, widths)

    return made


def make_train_steps(
    strategy: tf.distribute.Strategy,
    objective: Objective,
    state: TrainState,
    config: ml_collections.ConfigDict,
    total_steps: int,
    widths: Sequence[int] = (),
) -> Callable[[Iterator[Batch], tf.Tensor], StepResult]:
    """Returns a function (iterator, count <int32>[]) that does `count` steps in the graph.

    With `widths` it has a form of the step for each of them, of static shape, as TPUs need it, and
    takes batches of no other width.
    """
    pairs = 2 * len(train_metric_names(objective))

    def replica_step(batch: Batch) -> tf.Tensor:
        return train_step(objective, state, batch, config, total_steps)

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

    # Without autograph, which the step doesn't need: it traces faster, and autograph would leave
    # files in TMPDIR.
    @tf.function(autograph=False)
    def train_steps(iterator: Iterator[Batch], count: tf.Tensor) -> StepResult:
        def step_of_history(i: tf.Tensor, history: tf.TensorArray) -> tuple:
            asked = tf.timestamp()
            batch = next(iterator)
            with tf.control_dependencies(strategy.experimental_local_results(batch.weights)):
                wait = tf.cast(tf.timestamp() - asked, tf.float32)
            # With a single thread the step could otherwise run before the time is taken.
            with tf.control_dependencies([wait]):
                result = step_of_any_width(batch)
            return i + 1, history.write(i, tf.concat([result, [wait]], axis=0))

        history = tf.TensorArray(tf.float32, count, element_shape=[pairs + 3])
        _, history = tf.while_loop(lambda i, _: i < count, step_of_history, (0, history))
        values = history.stack()
        metrics = tf.reshape(values[:, :pairs], [-1, pairs // 2, 2])
        return StepResult(metrics, *tf.unstack(values[:, pairs:], axis=1))

    return train_steps


def train_step(
    objective: Objective,
    state: TrainState,
    batch: Batch,
    config: ml_collections.ConfigDict,
    total_steps: int,
) -> tf.Tensor:
    """Does one step of one replica on its share of the global batch, in a replica context.

    Gradients of sums are added up over slices and replicas before anything is decided on
    them. Only then are they divided, tested for finiteness, clipped and applied, so that every
    replica decides the same. Returns the flat fields of a StepResult except the last one,
    <float32>[2 * names + 2].
    """
    metrics, gradients = summed_gradients(objective, state, batch, config)
    network, optimizer = state.model, state.optimizer
    gradients = optimizer.of_trained(gradients, network.depths)
    weight = metrics[0, 1]
    # Undoes the factor that `summed_gradients` puts in, and makes a mean of the sum. A batch in
    # which nothing counts has no gradient.
    unscale = tf.math.divide_no_nan(float(config.train.batch_size), state.loss_scale * weight)
    norm = tf.linalg.global_norm(gradients) * unscale
    clip = config.optimizer.clip_norm
    factor = unscale * (tf.minimum(1.0, clip / norm) if clip else 1.0)
    learning_rate = schedule.learning_rate(state.step, config.optimizer, total_steps)

    def update() -> tf.Operation:
        clipped = [gradient * factor for gradient in gradients]
        weights, depths, biases = network.weights, network.depths, network.biases
        optimizer.update(weights, clipped, depths, biases, learning_rate)
        if state.average:
            _update_average(state.average, state, config.train.average_decay)
        return tf.no_op()

    if config.model.precision == "float16":
        finite = tf.math.is_finite(norm)
        tf.cond(finite, update, tf.no_op)
        _adapt_loss_scale(state, finite)
    else:
        update()
    increment(state.step)
    return tf.concat([tf.reshape(metrics, [-1]), [norm, learning_rate]], axis=0)


def _update_average(average: Encoder, state: TrainState, decay: float) -> None:
    """Moves the averaged weights towards the new ones.

    The first updates count for more, as in tf.train.ExponentialMovingAverage, so that the initial
    weights are soon forgotten.
    """
    updates = tf.cast(state.optimizer.updates, tf.float32)
    fraction = 1.0 - tf.minimum(decay, (1.0 + updates) / (10.0 + updates))
    for mean, weight in zip(average.weights, state.model.weights, strict=True):
        tf.raw_ops.AssignAddVariableOp(resource=mean.handle, value=(weight - mean) * fraction)


def _adapt_loss_scale(state: TrainState, finite: tf.Tensor) -> None:
    """Halves the loss scale after an overflow, doubles it after many steps without one."""
    since = tf.where(finite, state.steps_since_overflow + 1, 0)
    double = since >= _STEPS_TO_DOUBLE
    factor = tf.where(finite, tf.where(double, 2.0, 1.0), 0.5)
    for variable, value in (
        (state.loss_scale, tf.maximum(state.loss_scale * factor, 1.0)),
        (state.steps_since_overflow, tf.where(double, tf.zeros_like(since), since)),
    ):
        tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value)
