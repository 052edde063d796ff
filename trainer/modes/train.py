"""Trains with validation and checkpoints, and tests at the end; the same call again resumes.

    with StopRequests() as stop:
        train_and_evaluate(config, open_store("runs/imdb"), Clock(), stop)

Raises UserError for everything that a user can fix.
"""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

import ml_collections
import numpy as np
import tensorflow as tf

from storage.errors import Superseded, UserError
from storage.store import Store
from trainer.learning import train_state
from trainer.learning.metrics import MetricSums, finite_or_none
from trainer.learning.objectives.objective import score, score_metric
from trainer.machines import cluster, devices, lost_machines
from trainer.machines.preemption import GRACE_SECONDS, Stopped, StopRequests
from trainer.machines.workers import LOST_WORKER_ERRORS
from trainer.modes.evaluate import run_test
from trainer.modes.interface import Call
from trainer.run import summary, terminal, test_results
from trainer.run.chief_decisions import restore_on_all
from trainer.run.clock import Clock
from trainer.run.epoch import save, train_epoch, train_metrics
from trainer.run.examination import examine
from trainer.run.manifest import Manifest
from trainer.run.progress import Progress
from trainer.run.start import Run, start
from trainer.run.time_left import evaluation_work
from trainer.run.writers.extras import review_samples, vocabulary_embedding, weight_histograms


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
            summary.before(run, progress)
            _train(run, progress, stop)
        except LOST_WORKER_ERRORS as error:
            raise Stopped(
                f"Another worker is lost or does not answer ({type(error).__name__}); "
                "run the same command again."
            ) from error
        except tf.errors.ResourceExhaustedError as error:
            raise UserError(
                f"config.train.batch_size: got {config.train.batch_size}, which needs more memory "
                "than there is; lower it, config.evaluation.batch_size "
                f"({config.evaluation.batch_size}) or config.data.max_tokens "
                f"({config.data.max_tokens}), and start in another --workdir"
            ) from error
        except tf.errors.InternalError as error:  # also of variables on a lost machine
            if message := lost_machines.lost_now():
                raise Stopped(message) from error
            raise


def _train(run: Run, progress: Progress, stop: StopRequests) -> None:
    """Trains the remaining epochs, and tests."""
    try:
        with stop.deferred():
            epochs = run.config.train.epochs
            for epoch in range(progress.epoch(run.steps_per_epoch), epochs):
                if _has_no_patience_left(run, progress):
                    break
                train_epoch(run, epoch, progress, stop)
                _end_epoch(run, epoch, progress, stop)
        run.saver.finish()
        tested = _test_best(run, progress, stop)
        run.profile.close()
        run.writer.close()
        report = None
        if run.workers.is_chief and run.config.evaluation.report:
            with run.clock.timed("report"):
                report = _write_report(run)
        summary.after(run, tested, report)
    except Stopped as request:
        message = _leave(run, progress, stop)
        # A worker that leaves at once would leave the others without its part of the collective
        # call that told this one to stop.
        with contextlib.suppress(*LOST_WORKER_ERRORS):
            run.workers.any(True)
        raise Stopped(message) from request
    except (
        UserError,
        tf.errors.InternalError,
        tf.errors.ResourceExhaustedError,
        *LOST_WORKER_ERRORS,
    ):
        # Rather than end in the middle of a save; and the trackers learn that the run has stopped.
        with contextlib.suppress(UserError):
            run.saver.finish(GRACE_SECONDS)
        with contextlib.suppress(UserError):
            run.writer.close(GRACE_SECONDS, finished=False)
        raise


def _leave(run: Run, progress: Progress, stop: StopRequests) -> str:
    """Saves unsaved steps if the time a machine is given allows it; returns what to tell."""
    trouble = "the store is slow"
    if run.saver.settle(stop.seconds_left()) and run.saver.saved_step < progress.step:
        save(run, progress, stop)
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
        run.writer.close(stop.seconds_left(), finished=False)
    return f"Stopped at step {progress.step}; the same command resumes."


def _has_no_patience_left(run: Run, progress: Progress) -> bool:
    """Returns True, and says so, when the score has not risen for `train.patience` epochs."""
    epochs = progress.epochs_without_gain()
    if not 0 < run.config.train.patience <= epochs:
        return False
    name = score_metric(run.objective)
    terminal.say(f"No better validation {name} for {epochs} epoch(s): training ends early")
    return True


def _end_epoch(run: Run, epoch: int, progress: Progress, stop: StopRequests) -> None:
    """Validates, reports and saves."""
    validation = run.data.validation
    with run.clock.timed("evaluation"):
        outputs = run.scorer(validation, run.config.data.width_step)
    run.time_left.advance(evaluation_work(validation))
    metrics = run.objective.evaluate(outputs, validation)
    shares = run.objective.probabilities(outputs)
    samples = () if shares is None else review_samples(validation, shares, run.encoding)
    run.writer.write("validation", progress.step, metrics, samples)
    _report_epoch(run, epoch, progress, metrics)
    progress.epoch_sums = MetricSums()
    progress.metrics = finite_or_none(metrics)
    progress.score = score(run.objective, metrics)
    progress.scores.append(progress.score)
    save(run, progress, stop)


def _report_epoch(
    run: Run, epoch: int, progress: Progress, validation: Mapping[str, float]
) -> None:
    """Writes the epoch's line of metrics and prints it; `validation` are metrics by name."""
    trained = train_metrics(progress.epoch_sums)
    padding = 1.0 - progress.epoch_sums.means()["filled"]
    times = run.clock.fractions()
    line = {
        **trained,
        "padding": padding,
        "goodput": times["training"],
        "time": times,
        **run.origin(),
    }
    histograms = weight_histograms(run.state.evaluated) if run.config.train.histograms else ()
    run.writer.write("epoch", progress.step, line, histograms)
    steps_done = f"{run.steps_per_epoch}/{run.steps_per_epoch}"
    values = [f"Train {name.title()}: {value:.3f}" for name, value in trained.items()]
    name = score_metric(run.objective)
    values.append(f"Val {name.title()}: {validation[name]:.3f}")
    terminal.say(
        f"Epoch: {epoch + 1}/{run.config.train.epochs} Batch: {steps_done} {' '.join(values)}"
    )
    spent = ", ".join(f"{cause} {fraction:.1%}" for cause, fraction in times.items())
    terminal.say(f"  Padding: {padding:.1%}. Time: {spent}")


def _test_best(run: Run, progress: Progress, stop: StopRequests) -> Manifest:
    """Tests the best checkpoint and returns its manifest.

    Its weights replace the last ones in memory.
    """
    manifest = restore_on_all(
        run.workers,
        run.store,
        "best",
        lambda path, _: train_state.load_weights(path, run.config, run.state.evaluated),
    )
    if manifest is None:
        raise UserError(f"--workdir: {run.store.url} has lost its checkpoints; take a new one")
    with stop.deferred():
        with run.clock.timed("test"):
            metrics, outputs = run_test(
                run.config.data, run.data.test, run.objective, run.scorer, manifest
            )
        line = {**metrics, "checkpoint": manifest.step}
        embedding = vocabulary_embedding(run.state.evaluated, run.encoding.vocabulary)
        run.writer.write("test", progress.step, line, [embedding])
        shares = run.objective.probabilities(outputs)
        if run.workers.is_chief and run.config.evaluation.report and shares is not None:
            with run.clock.timed("report"):
                _keep_results(run, manifest.step, shares, stop)
    return manifest


def _write_report(run: Run) -> str:
    """Writes the report, and returns its URL."""
    from trainer.modes import report  # on demand: what draws takes a second to import

    return report.write_report(run.store, run.store, run.claim.check)


def _keep_results(run: Run, step: int, shares: np.ndarray, stop: StopRequests) -> None:
    """Keeps the probabilities of each review of the test in the workdir, for the report."""
    described = devices.describe(run.strategy)
    results = examine(run.config, run.store, step, shares, run.data.test, described, stop.check)
    run.store.write(test_results.NAME, test_results.to_bytes(results), run.claim.check)
