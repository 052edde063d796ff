"""Trains one epoch of a run, step by step, with checkpoints and lines of metrics in between.

train_epoch(run, epoch=3, progress=progress, stop=stop)
save(run, progress, stop)       # a checkpoint of the step that `progress` stands at
"""

import contextlib
import math
from collections.abc import Iterator

import tensorflow as tf

from configs.schema import resume
from input_pipeline.training_set import StepSizes
from storage.errors import UserError
from trainer.learning import schedule
from trainer.learning.metrics import MetricSums
from trainer.learning.objectives.objective import Objective, train_metric_names
from trainer.learning.steps import StepResult
from trainer.machines.distribution import distribute_batches
from trainer.machines.preemption import StopRequests
from trainer.run.clock import Rate
from trainer.run.manifest import Manifest
from trainer.run.progress import Progress
from trainer.run.progress_bar import ProgressBar
from trainer.run.start import Run

_SECONDS_BETWEEN_CHECKS = 0.2  # for a request to leave, while waiting for a save


def train_epoch(run: Run, epoch: int, progress: Progress, stop: StopRequests) -> None:
    """Trains the rest of an epoch, from the step that `progress` stands at."""
    config, begin = run.config, epoch * run.steps_per_epoch
    objective = run.objective.at_epoch(epoch)
    end = begin + run.steps_per_epoch
    batch_size, width_step = config.train.batch_size, config.data.width_step
    plan = run.data.train.epoch(batch_size, width_step, config.seed, epoch, objective.labelled_only)
    iterator = distribute_batches(run.strategy, plan.batches, progress.step - begin)
    rate, counted = Rate(), run.clock.wall()
    bar = ProgressBar(
        epoch + 1,
        config.train.epochs,
        len(plan),
        progress.step - begin,
        run.time_left,
        objective.work,
    )
    with contextlib.closing(bar), plan.faults():
        while progress.step < end:
            run.check()
            run.saver.check()
            count = min(
                config.train.steps_per_call,
                end - progress.step,
                schedule.steps_until(progress.step, config.checkpoint.every_steps),
            )
            if "compile" not in run.clock.seconds:
                count = 1  # the process's first step is compiled
            with run.profile.call(progress.step, count):
                results = _call(run, objective, iterator, count)
            # What the loop did since the call before belongs to these steps, each a part.
            now = run.clock.wall()
            counted, seconds = now, (now - counted) / count
            for result in results:
                sizes = plan.sizes(progress.step - begin)
                rate.add(sizes.reviews, sizes.tokens, seconds)
                progress.step += 1
                progress.metrics, progress.score = {}, None
                _account(run, objective, progress, result, sizes, rate)
                loss = progress.epoch_sums.means()["loss"]
                bar.advance(sizes.reviews, sizes.tokens, seconds, loss)
            if progress.step < end and schedule.due(progress.step, config.checkpoint.every_steps):
                save(run, progress, stop)


def save(run: Run, progress: Progress, stop: StopRequests) -> None:
    """Begins a checkpoint, once the one before is stored; raises Stopped when asked to leave."""
    with run.clock.timed("checkpoint"):
        while not run.saver.settle(_SECONDS_BETWEEN_CHECKS):
            stop.check()
        manifest = Manifest(
            config=resume.decisive_fields(run.config),
            vocabulary=run.encoding.vocabulary.digest,
            labels=run.encoding.labels.names,
            data=run.data.train.digest,
            slices=run.slices,
            **progress.fields(),
        )
        run.saver.save(manifest, bytes(run.writer.lines))


def train_metrics(sums: MetricSums) -> dict[str, float]:
    """Returns the means of what is learned, without the fraction of filled slots."""
    return {name: value for name, value in sums.means().items() if name != "filled"}


def _call(run: Run, objective: Objective, iterator: Iterator, count: int) -> list[StepResult]:
    """Does `count` steps in the graph."""
    compiled = "compile" in run.clock.seconds
    cause = "training" if compiled else "compile"
    with run.clock.timed(cause), tf.device(run.loop_device):
        results = run.train_steps(objective)(iterator, tf.constant(count))
        results = StepResult(*(values.numpy().tolist() for values in results))
    if compiled:
        run.clock.move("training", "input wait", sum(results.input_wait))
    return [StepResult(*step) for step in zip(*results, strict=True)]


def _account(
    run: Run,
    objective: Objective,
    progress: Progress,
    result: StepResult,
    sizes: StepSizes,
    rate: Rate,
) -> None:
    """Adds a finished step to the sums and writes a line when one is due."""
    pairs = dict(zip(train_metric_names(objective), result.metrics, strict=True))
    _check_finite(run, progress.step, pairs["loss"], result.gradient_norm)
    pairs["filled"] = (sizes.tokens, sizes.slots)
    for sums in (progress.epoch_sums, progress.line_sums):
        sums.add(pairs)
    if schedule.due(progress.step, run.config.train.log_every_steps):
        line = {
            **train_metrics(progress.line_sums),
            "learning_rate": result.learning_rate,
            "gradient_norm": result.gradient_norm,
            **rate.values(),
            **run.origin(),
        }
        run.writer.write("train", progress.step, line)
        progress.line_sums = MetricSums()
        rate.restart()


def _check_finite(run: Run, step: int, loss: tuple[float, float], gradient_norm: float) -> None:
    """Raises UserError when a step's loss or gradient is not finite."""
    config = run.config
    # In float16 an infinite gradient is an overflow, which the step has handled.
    checked = (loss[0],) if config.model.precision == "float16" else (loss[0], gradient_norm)
    if not all(map(math.isfinite, checked)):
        factors = any(config.objective.terms.values())
        others = ", or the factors in config.objective.terms" if factors else ""
        raise UserError(
            f"step {step}: the loss is {loss[0] / loss[1]}, its gradient's norm {gradient_norm}; "
            "nothing was saved since: lower config.optimizer.learning_rate "
            f"({config.optimizer.learning_rate}){others}, and start in another --workdir"
        )
