"""Asynchronous saves: a training step waits for a copy of the state and for nothing else.

    with strategy.scope():
        state = train_state.create(objective, config, vocabulary_size)
    make_spare = partial(train_state.create, objective, config, vocabulary_size)
    saver = Saver(checkpoints, state, make_spare)
    saver.save(manifest, metrics)      # returns when the state is copied
    saver.finish()                     # waits; raises what the last save failed with

One save is in progress at a time. The failure of a save is reported at the next one, which may
succeed.
"""

import functools
import threading
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf
from absl import logging

from storage.errors import Superseded, UserError
from trainer.learning.train_state import TrainState
from trainer.machines.lost_machines import SAVE_THREAD
from trainer.run.checkpoints import Checkpoints
from trainer.run.manifest import Manifest

METRICS = ".metrics.jsonl"  # the file of a checkpoint with the run's metrics up to there
# What TensorFlow raises for a disk that is full, or fails otherwise.
_FULL = (tf.errors.ResourceExhaustedError, tf.errors.OutOfRangeError)
_OF_THE_DISK = (
    *(*_FULL, tf.errors.NotFoundError, tf.errors.PermissionDeniedError),
    *(tf.errors.FailedPreconditionError, tf.errors.UnknownError, tf.errors.DataLossError),
)


class Saver:
    """Hands copies of a state to `checkpoints`, one at a time, in a thread."""

    def __init__(
        self,
        checkpoints: Checkpoints,
        state: TrainState,
        make_spare: Callable[[], TrainState],
        saved_step: int = 0,
    ):
        """`make_spare` makes a state like `state`. It is called at the first save."""
        self._checkpoints = checkpoints
        self._state = state
        self._make_spare = make_spare
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self.saved_step = saved_step  # step of the newest checkpoint that is whole

    @functools.cached_property
    def _spare(self) -> TrainState:
        """Returns the state that is saved from while training goes on, in this machine's memory."""
        with tf.device("CPU:0"):
            return self._make_spare()

    def save(self, manifest: Manifest, metrics: bytes) -> None:
        """Waits as `settle` does, copies the state, and starts to save the copy."""
        self.settle()
        self._state.copy_to(self._spare)
        # A daemon: a process that has to leave at once doesn't wait for it.
        self._thread = threading.Thread(
            target=self._save, args=(manifest, metrics), name=SAVE_THREAD, daemon=True
        )
        self._thread.start()

    def settle(self, seconds: float | None = None) -> bool:
        """Waits up to `seconds` for the save in progress. Returns True when no save is running.

        Warns when that save failed, but raises Superseded.
        """
        try:
            return self.finish(seconds)
        except Superseded:
            raise
        except UserError as error:
            logging.warning("%s", error)
            return True

    def finish(self, seconds: float | None = None) -> bool:
        """Waits in the same way, and raises, once, what the save failed with."""
        if self._thread:
            self._thread.join(seconds)
            if self._thread.is_alive():
                return False
            self._thread = None
        error, self._error = self._error, None
        if error:
            raise error
        return True

    def check(self) -> None:
        """Raises what a save has failed with unless the next one may succeed, as in an outage."""
        if self._error and (
            isinstance(self._error, Superseded) or not isinstance(self._error, UserError)
        ):
            self.finish()

    def _save(self, manifest: Manifest, metrics: bytes) -> None:
        def write(prefix: str) -> None:
            _write(self._spare.checkpoint(), prefix)
            Path(prefix + METRICS).write_bytes(metrics)

        try:
            self._checkpoints.save(write, manifest)
            self.saved_step = manifest.step
            self._retire()
        except Superseded as error:
            self._error = error
        except UserError as error:
            self._error = UserError(
                f"The checkpoint of step {manifest.step} was not saved, the last one is of step "
                f"{self.saved_step}: {error}"
            )
        # Any other error belongs to the thread that waits for this one.
        except BaseException as error:
            self._error = error

    def _retire(self) -> None:
        try:
            self._checkpoints.retire()
        except UserError as error:
            logging.warning("Old checkpoints are kept for now: %s", error)


class NoSaver:
    """The saver of a worker that is not the chief: the chief saves the same state."""

    def __init__(self, saved_step: int = 0):
        self.saved_step = saved_step

    def save(self, manifest: Manifest, metrics: bytes) -> None:
        """Notes the step that the chief saves."""
        self.saved_step = manifest.step

    def settle(self, seconds: float | None = None) -> bool:
        """Returns True: no save is running here."""
        return True

    finish = settle

    def check(self) -> None:
        """Does nothing: the chief looks for a newer process."""


def _write(checkpoint: tf.train.Checkpoint, prefix: str) -> None:
    try:
        checkpoint.write(prefix)
    except _OF_THE_DISK as error:
        reason = error.message.rpartition("; ")[2].partition(" [")[0]
        advice = "free some space there" if isinstance(error, _FULL) else "mend that"
        raise UserError(
            f"{Path(prefix).parent}: no checkpoint can be written ({reason}); {advice} and run the "
            "same command again (for a bucket, TMPDIR says where that is)"
        ) from error
