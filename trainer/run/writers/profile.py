"""A profile of some training steps, for TensorBoard's profiler.

    profile = Profile(store, claim, config)
    with profile.call(step, count):         # `count` steps in the graph after the first `step`
        ...
    profile.close()

Calls are profiled whole, from the one with the first step of `train.profile_steps` to the one with
the last. The files are made in a temporary folder and then moved to `plugins/profile/` in the
folder for TensorBoard; training waits for that. A failure gives one warning.
"""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import ml_collections
import tensorflow as tf
from absl import logging

from storage import checksum
from storage.claims import Claim
from storage.errors import Superseded, UserError
from storage.store import Store


class Profile:
    """Profiles the calls that have the steps of `train.profile_steps` in them, once a process."""

    def __init__(self, store: Store, claim: Claim, config: ml_collections.ConfigDict):
        self._store, self._claim = store, claim
        self._folder = config.train.tensorboard_dir
        self._steps = tuple(config.train.profile_steps)  # () when there is nothing left to do
        self._scratch = contextlib.ExitStack()  # holds the folder of a profile in progress
        self._path: Path | None = None  # that folder

    @contextlib.contextmanager
    def call(self, step: int, count: int) -> Iterator[None]:
        """Profiles the `count` steps after the first `step` if they are among those asked for."""
        first, last = self._steps or (0, 0)
        if self._path is None and step < last and step + count >= first:
            self._attempt(self._start)
        yield
        if step + count >= last:
            self.close()

    def close(self) -> None:
        """Ends the profile in progress, if there is one, and moves its files into the store."""
        if path := self._path:
            self._attempt(partial(self._stop, path))

    def _start(self) -> None:
        self._path = self._scratch.enter_context(self._store.scratch())
        tf.profiler.experimental.start(str(self._path))

    def _stop(self, path: Path) -> None:
        self._path, self._steps = None, ()
        with self._scratch:
            tf.profiler.experimental.stop()
            self._claim.check()
            for file in sorted(filter(Path.is_file, path.rglob("*"))):
                name = f"{self._folder}/{file.relative_to(path).as_posix()}"
                self._store.upload(file, name, checksum.of_file(file))

    def _attempt(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Superseded:
            raise
        except (UserError, tf.errors.OpError) as error:
            self._path, self._steps = None, ()
            self._scratch.close()
            logging.warning("config.train.profile_steps: no profile is written (%s)", error)


class NoProfile:
    """What a worker that is not the chief has: it profiles nothing."""

    def call(self, step: int, count: int) -> contextlib.AbstractContextManager:
        """Does nothing."""
        return contextlib.nullcontext()

    def close(self) -> None:
        """Does nothing."""
