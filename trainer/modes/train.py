"""Training with validation, checkpoints and a test at the end; the same call again resumes.

    with StopRequests() as stop:
        train_and_evaluate(config, open_store("runs/imdb"), Clock(), stop)

Raises UserError for whatever a user can mend.
"""

import contextlib
import dataclasses
import math
import os
from collections.abc import Iterator
from pathlib import Path

import ml_collections
import tensorflow as tf

from configs.schema import rules
from storage.errors import Superseded, UserError
from storage.store import Store
from trainer.learning import metrics, schedule, train_state
from trainer.learning.metrics import Sums
from trainer.learning.steps import StepMetrics
from trainer.machines import cluster
from trainer.machines.preemption import SECONDS_GIVEN, Stopped, StopRequests
from trainer.machines.strategy import distribute_batches
from trainer.machines.workers import LOST
from trainer.modes.evaluate import run_test
from trainer.run.checkpoints import Manifest
from trainer.run.clock import Clock, ProgressBar, Rate
from trainer.run.start import Progress, Run, restore_on_all, start

_SECONDS_BETWEEN_CHECKS = 0.2  # for a request to leave, while a save is waited for


def train_and_evaluate(
    config: ml_collections.ConfigDict, store: Store, clock: Clock, stop: StopRequests
) -> None:
    """Trains to the last epoch, validates after each, and tests the best checkpoint.

    Raises Stopped, having saved, when the process or another worker is asked to leave, and when
    another worker is lost.
    """
    here = cluster.from_environment()
    with contextlib.ExitStack() as stack:
        if here and not here.is_chief:  # whose lines would be the chief's once more
            silence = stack.enter_context(Path(os.devnull).open("w"))
            stack.enter_context(contextlib.redirect_stdout(silence))
        try:
            run, progress = start(config, store, clock, stop)
            clock.end_start()
            _train(run, progress, stop)
        except LOST as error:
            raise Stopped(
                f"Another worker is gone or stands still ({type(error).__name__}); "
                "run the same command again."
            ) from error


def _train(run: Run, progress: Progress, stop: StopRequests) -> None:
    """All epochs that are left, and the test."""
    try:
        with stop.deferred():
            epochs = run.config.train.epochs
            for epoch in range(progress.epoch(run.steps_per_epoch), epochs):
                _train_epoch(run, epoch, progress, stop)
                _end_epoch(run, epoch, progress, stop)
        run.saver.finish()
        _test_best(run, progress, stop)
        run.writer.close()
    except Stopped as request:
        message = _leave(run, progress, stop)
        # The first to go would leave the others without the answer that brought them here.
        with contextlib.suppress(*LOST):
            run.workers.any(True)
        raise Stopped(message) from request
    except (UserError, *LOST):
        with contextlib.suppress(UserError):
            run.saver.finish(SECONDS_GIVEN)  # rather than end in the middle of it
        raise


def _leave(run: Run, progress: Progress, stop: StopRequests) -> str:
    """Saves what is not saved yet, if the time a machine is given allows; says how that went."""
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
    # The checkpoint has the metrics, so it is no loss if these stay behind.
    with contextlib.suppress(UserError):
        run.writer.close(stop.seconds_left())
    return f"Stopped at step {progress.step}; the same command resumes."


def _train_epoch(run: Run, epoch: int, progress: Progress, stop: StopRequests) -> None:
    """The rest of an epoch, from the step it stands at."""
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
            for done in _call(run, iterator, count):
                words, places = plan.sizes(progress.step - begin)
                rate.add(done.weight, words)
                progress.step += 1
                progress.validation_accuracy = None
                _account(run, progress, done, (words, places), rate)
                bar.advance(done.weight, words, progress.epoch_sums.loss)
            if progress.step < end and schedule.due(progress.step, config.checkpoint.every_steps):
                _save(run, progress, stop)


def _call(run: Run, iterator: Iterator, count: int) -> list[StepMetrics]:
    """`count` steps in the graph; the process's first call is one step, which compiles it."""
    compiled = "compile" in run.clock.seconds
    cause = "training" if compiled else "compile"
    with run.clock.timed(cause), tf.device(run.loop_device):
        history = run.train_steps(iterator, tf.constant(count if compiled else 1))
        history = StepMetrics(*(values.numpy().tolist() for values in history))
    if compiled:
        run.clock.move("training", "input wait", sum(history.input_wait))
    return [StepMetrics(*step) for step in zip(*history, strict=True)]


def _account(
    run: Run, progress: Progress, done: StepMetrics, sizes: tuple[int, int], rate: Rate
) -> None:
    """Adds a finished step to the sums and writes a line when one is due."""
    overflow_is_handled = run.config.model.precision == "float16"
    if not math.isfinite(done.loss_sum) or not (
        overflow_is_handled or math.isfinite(done.gradient_norm)
    ):
        raise UserError(
            f"step {progress.step}: the loss is {done.loss_sum / done.weight}, its gradient's norm "
            f"{done.gradient_norm}; nothing was saved since: lower config.optimizer.learning_rate "
            f"({run.config.optimizer.learning_rate}) and begin in another --workdir"
        )
    for sums in (progress.epoch_sums, progress.line_sums):
        sums.add(done.loss_sum, done.weight, done.correct, *sizes)
    if schedule.due(progress.step, run.config.train.log_every_steps):
        line = {
            "loss": progress.line_sums.loss,
            "accuracy": progress.line_sums.accuracy,
            "learning_rate": done.learning_rate,
            "gradient_norm": done.gradient_norm,
            **rate.values(),
        }
        run.writer.write("train", progress.step, line)
        progress.line_sums = Sums()
        rate.restart()


def _save(run: Run, progress: Progress, stop: StopRequests) -> None:
    with run.clock.timed("checkpoint"):
        while not run.saver.settle(_SECONDS_BETWEEN_CHECKS):
            stop.check()
        manifest = Manifest(
            step=progress.step,
            config=rules.decisive(run.config),
            vocabulary=run.words.digest,
            data=run.data.train.digest,
            validation_accuracy=progress.validation_accuracy,
            sums={
                "epoch_sums": dataclasses.asdict(progress.epoch_sums),
                "line_sums": dataclasses.asdict(progress.line_sums),
            },
        )
        run.saver.save(manifest, bytes(run.writer.lines))


def _end_epoch(run: Run, epoch: int, progress: Progress, stop: StopRequests) -> None:
    """Validates, reports and saves."""
    validation = run.data.validation
    with run.clock.timed("evaluation"):
        logits = run.scorer(validation, run.config.data.width_step)
    result = metrics.evaluate(logits, validation.labels, validation.lengths)
    run.writer.write(
        "validation",
        progress.step,
        {"loss": result.loss, "accuracy": result.accuracy, "auc": result.auc},
    )
    sums = progress.epoch_sums
    shares = run.clock.shares()
    run.writer.write(
        "epoch",
        progress.step,
        {
            "loss": sums.loss,
            "accuracy": sums.accuracy,
            "padding": sums.padding,
            "goodput": shares["training"],
            "time": shares,
        },
    )
    steps_done = f"{run.steps_per_epoch}/{run.steps_per_epoch}"
    print(
        f"Epoch: {epoch + 1}/{run.config.train.epochs} Batch: {steps_done} "
        f"Train Loss: {sums.loss:.3f} Train Accuracy: {sums.accuracy:.3f} "
        f"Val Accuracy: {result.accuracy:.3f}"
    )
    spent = ", ".join(f"{cause} {share:.1%}" for cause, share in shares.items())
    print(f"  Padding: {sums.padding:.1%}. Time: {spent}", flush=True)
    progress.epoch_sums = Sums()
    progress.validation_accuracy = result.accuracy
    _save(run, progress, stop)


def _test_best(run: Run, progress: Progress, stop: StopRequests) -> None:
    """Tests the best checkpoint; its weights take the place of the last ones in memory."""
    manifest = restore_on_all(
        run.workers,
        run.store,
        "best",
        lambda path, _: train_state.load_weights(path, run.config, run.state.evaluated),
    )
    if manifest is None:
        raise UserError(f"--workdir: {run.store.url} has lost its checkpoints; take a new one")
    with stop.deferred():
        result = run_test(run.config.data, run.data.test, run.scorer, manifest)
    run.writer.write(
        "test",
        progress.step,
        {
            "loss": result.loss,
            "accuracy": result.accuracy,
            "auc": result.auc,
            "checkpoint": manifest.step,
        },
    )
