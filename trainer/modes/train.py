"""Trains with validation and checkpoints, and tests at the end; the same call again resumes.

    with StopRequests() as stop:
        train_and_evaluate(config, open_store("runs/imdb"), Clock(), stop)

Raises UserError for everything that a user can fix.
"""

import contextlib
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import ml_collections
import tensorflow as tf

from configs.schema import resume
from input_pipeline.training_set import StepSizes
from storage.errors import Superseded, UserError
from storage.store import Store
from trainer.learning import schedule, train_state
from trainer.learning.metrics import MetricSums, finite_or_none
from trainer.learning.objectives.objective import score, score_metric, train_metric_names
from trainer.learning.steps import StepResult
from trainer.machines import cluster
from trainer.machines.distribution import distribute_batches
from trainer.machines.preemption import GRACE_SECONDS, Stopped, StopRequests
from trainer.machines.workers import LOST_WORKER_ERRORS
from trainer.modes.evaluate import run_test
from trainer.modes.interface import Call
from trainer.run.chief_decisions import restore_on_all
from trainer.run.clock import Clock, Rate
from trainer.run.manifest import Manifest
from trainer.run.progress import Progress
from trainer.run.progress_bar import ProgressBar
from trainer.run.start import Run, start

_SECONDS_BETWEEN_CHECKS = 0.2  # for a request to leave, while waiting for a save


def run(call: Call) -> None:
    """Runs the mode."""
    train_and_evaluate(call.config, call.store, Clock(started=call.started), call.stop)


def train_and_evaluate(
    config: ml_collections.ConfigDict, store: Store, clock: Clock, stop: StopRequests
) -> None:
    """Trains to the last epoch, or until the score stops rising, and tests the best checkpoint.

    Raises Stopped, having saved, when the process or another worker is asked to leave, and when
    another worker is lost.
    """
    here = cluster.from_environment()
    with contextlib.ExitStack() as stack:
        if here and not here.is_chief:  # its lines would repeat the chief's
            silence = stack.enter_context(Path(os.devnull).open("w"))
            stack.enter_context(contextlib.redirect_stdout(silence))
        try:
            run, progress = start(config, store, clock, stop)
            clock.end_start()
            _train(run, progress, stop)
        except LOST_WORKER_ERRORS as error:
            raise Stopped(
                f"Another worker is lost or does not answer ({type(error).__name__}); "
                "run the same command again."
            ) from error


def _train(run: Run, progress: Progress, stop: StopRequests) -> None:
    """Trains the remaining epochs, and tests."""
    try:
        with stop.deferred():
            epochs = run.config.train.epochs
            for epoch in range(progress.epoch(run.steps_per_epoch), epochs):
                if _has_no_patience_left(run, progress):
                    break
                _train_epoch(run, epoch, progress, stop)
                _end_epoch(run, epoch, progress, stop)
        run.saver.finish()
        _test_best(run, progress, stop)
        run.writer.close()
    except Stopped as request:
        message = _leave(run, progress, stop)
        # A worker that leaves at once would leave the others without its part of the collective
        # call that told this one to stop.
        with contextlib.suppress(*LOST_WORKER_ERRORS):
            run.workers.any(True)
        raise Stopped(message) from request
    except (UserError, *LOST_WORKER_ERRORS):
        with contextlib.suppress(UserError):
            run.saver.finish(GRACE_SECONDS)  # rather than end in the middle of a save
        raise


def _leave(run: Run, progress: Progress, stop: StopRequests) -> str:
    """Saves unsaved steps if the time a machine is given allows it; returns what to tell."""
    trouble = "the store is slow"
    if run.saver.settle(stop.seconds_left()) and run.saver.saved_step < progress.step:
        _save(run, progress, stop)
        try:
            run.saver.finish(stop.seconds_left())
        except Superseded:
            raise
        except UserError as error:
            trouble = str(error)
    if run.saver.saved_step < progress.step:
        return (
            f"Stopped at step {progress.step}, which could not be saved ({trouble}); the same "
            f"command resumes at step {run.saver.saved_step}."
        )
    # The checkpoint has the metrics, so nothing is lost if these are not written in time.
    with contextlib.suppress(UserError):
        run.writer.close(stop.seconds_left())
    return f"Stopped at step {progress.step}; the same command resumes."


def _train_epoch(run: Run, epoch: int, progress: Progress, stop: StopRequests) -> None:
    """Trains the rest of an epoch, from the step that `progress` stands at."""
    config, begin = run.config, epoch * run.steps_per_epoch
    end = begin + run.steps_per_epoch
    batch_size, width_step = config.train.batch_size, config.data.width_step
    plan = run.data.train.epoch(batch_size, width_step, config.seed, epoch)
    iterator = distribute_batches(run.strategy, plan.batches, progress.step - begin)
    rate = Rate()
    bar = ProgressBar(epoch + 1, config.train.epochs, len(plan), progress.step - begin)
    with contextlib.closing(bar), plan.faults():
        while progress.step < end:
            run.check()
            run.saver.check()
            count = min(
                config.train.steps_per_call,
                end - progress.step,
                schedule.steps_until(progress.step, config.checkpoint.every_steps),
            )
            for result in _call(run, iterator, count):
                sizes = plan.sizes(progress.step - begin)
                rate.add(sizes.reviews, sizes.tokens)
                progress.step += 1
                progress.metrics, progress.score = {}, None
                _account(run, progress, result, sizes, rate)
                bar.advance(sizes.reviews, sizes.tokens, progress.epoch_sums.means()["loss"])
            if progress.step < end and schedule.due(progress.step, config.checkpoint.every_steps):
                _save(run, progress, stop)


def _call(run: Run, iterator: Iterator, count: int) -> list[StepResult]:
    """Does `count` steps in the graph; the process's first call is one step, which compiles it."""
    compiled = "compile" in run.clock.seconds
    cause = "training" if compiled else "compile"
    with run.clock.timed(cause), tf.device(run.loop_device):
        results = run.train_steps(iterator, tf.constant(count if compiled else 1))
        results = StepResult(*(values.numpy().tolist() for values in results))
    if compiled:
        run.clock.move("training", "input wait", sum(results.input_wait))
    return [StepResult(*step) for step in zip(*results, strict=True)]


def _account(
    run: Run, progress: Progress, result: StepResult, sizes: StepSizes, rate: Rate
) -> None:
    """Adds a finished step to the sums and writes a line when one is due."""
    pairs = dict(zip(train_metric_names(run.objective), result.metrics, strict=True))
    _check_finite(run, progress.step, pairs["loss"], result.gradient_norm)
    pairs["filled"] = (sizes.tokens, sizes.slots)
    for sums in (progress.epoch_sums, progress.line_sums):
        sums.add(pairs)
    if schedule.due(progress.step, run.config.train.log_every_steps):
        line = {
            **_train_metrics(progress.line_sums),
            "learning_rate": result.learning_rate,
            "gradient_norm": result.gradient_norm,
            **rate.values(),
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
        raise UserError(
            f"step {step}: the loss is {loss[0] / loss[1]}, its gradient's norm {gradient_norm}; "
            "nothing was saved since: lower config.optimizer.learning_rate "
            f"({config.optimizer.learning_rate}) and start in another --workdir"
        )


def _has_no_patience_left(run: Run, progress: Progress) -> bool:
    """Returns True, and says so, when the score has not risen for `train.patience` epochs."""
    epochs = progress.epochs_without_gain()
    if not 0 < run.config.train.patience <= epochs:
        return False
    name = score_metric(run.objective)
    print(f"No better validation {name} for {epochs} epoch(s): training ends early", flush=True)
    return True


def _train_metrics(sums: MetricSums) -> dict[str, float]:
    """Returns the means of what is learned, without the fraction of filled slots."""
    return {name: value for name, value in sums.means().items() if name != "filled"}


def _save(run: Run, progress: Progress, stop: StopRequests) -> None:
    with run.clock.timed("checkpoint"):
        while not run.saver.settle(_SECONDS_BETWEEN_CHECKS):
            stop.check()
        manifest = Manifest(
            config=resume.decisive_fields(run.config),
            vocabulary=run.encoding.vocabulary.digest,
            labels=run.encoding.labels.names,
            data=run.data.train.digest,
            **progress.fields(),
        )
        run.saver.save(manifest, bytes(run.writer.lines))


def _end_epoch(run: Run, epoch: int, progress: Progress, stop: StopRequests) -> None:
    """Validates, reports and saves."""
    validation = run.data.validation
    with run.clock.timed("evaluation"):
        outputs = run.scorer(validation, run.config.data.width_step)
    metrics = run.objective.evaluate(outputs, validation)
    run.writer.write("validation", progress.step, metrics)
    _report_epoch(run, epoch, progress, metrics)
    progress.epoch_sums = MetricSums()
    progress.metrics = finite_or_none(metrics)
    progress.score = score(run.objective, metrics)
    progress.scores.append(progress.score)
    _save(run, progress, stop)


def _report_epoch(
    run: Run, epoch: int, progress: Progress, validation: Mapping[str, float]
) -> None:
    """Writes the epoch's line of metrics and prints it; `validation` are metrics by name."""
    trained = _train_metrics(progress.epoch_sums)
    padding = 1.0 - progress.epoch_sums.means()["filled"]
    times = run.clock.fractions()
    line = {**trained, "padding": padding, "goodput": times["training"], "time": times}
    run.writer.write("epoch", progress.step, line)
    steps_done = f"{run.steps_per_epoch}/{run.steps_per_epoch}"
    values = [f"Train {name.title()}: {value:.3f}" for name, value in trained.items()]
    name = score_metric(run.objective)
    values.append(f"Val {name.title()}: {validation[name]:.3f}")
    print(f"Epoch: {epoch + 1}/{run.config.train.epochs} Batch: {steps_done} {' '.join(values)}")
    spent = ", ".join(f"{cause} {fraction:.1%}" for cause, fraction in times.items())
    print(f"  Padding: {padding:.1%}. Time: {spent}", flush=True)


def _test_best(run: Run, progress: Progress, stop: StopRequests) -> None:
    """Tests the best checkpoint; its weights replace the last ones in memory."""
    manifest = restore_on_all(
        run.workers,
        run.store,
        "best",
        lambda path, _: train_state.load_weights(path, run.config, run.state.evaluated),
    )
    if manifest is None:
        raise UserError(f"--workdir: {run.store.url} has lost its checkpoints; take a new one")
    with stop.deferred():
        metrics = run_test(run.config.data, run.data.test, run.objective, run.scorer, manifest)
    run.writer.write("test", progress.step, {**metrics, "checkpoint": manifest.step})
