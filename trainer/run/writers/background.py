"""A writer whose service may be slow or unreachable: a thread of its own waits for it.

    writer = Background("wandb", connect, claim.check)
    writer.write("train", 450, {"loss": 0.41})      # returns immediately
    writer.close(seconds=20, finished=False)        # waits up to 20 seconds

Training never waits for the service. When it fails, there is one warning and no further attempt in
this start: metrics.jsonl has everything, and the next start sends what is missing.
"""

import queue
import textwrap
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from absl import logging

from storage.errors import Superseded
from storage.store import Check
from trainer.run.writers.writer import Extra

MOST_SECONDS = 60.0  # to wait for a service at the end of a run
_LONGEST_SHOWN = 200  # characters of an error


class Tracker(Protocol):
    """A service's client; it raises whatever it likes."""

    def write(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Sends the numbers of a line."""

    def close(self, finished: bool) -> None:
        """Ends the run at the service, as finished or as stopped."""


class _End(NamedTuple):
    finished: bool


class Background:
    """A writer that hands lines to a tracker in a thread, and is off after a failure."""

    def __init__(self, name: str, connect: Callable[[], Tracker], check: Check):
        """`connect` runs in the thread; `check` raises Superseded when a newer start writes."""
        self._name, self._connect, self._check = name, connect, check
        self._items: queue.SimpleQueue = queue.SimpleQueue()
        # A daemon thread, so that a process that has to exit doesn't wait for it.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def write(
        self, kind: str, step: int, values: Mapping[str, Any], extras: Sequence[Extra] = ()
    ) -> None:
        """Hands over a line without its extras."""
        if self._thread.is_alive():
            self._items.put((kind, step, values))

    def close(self, seconds: float | None = None, finished: bool = True) -> None:
        """Waits up to `seconds`, and no longer than MOST_SECONDS; warns when lines are left."""
        self._items.put(_End(finished))
        self._thread.join(MOST_SECONDS if seconds is None else min(seconds, MOST_SECONDS))
        if self._thread.is_alive():
            logging.warning(
                "config.train.writers: %s did not take all metrics in time; metrics.jsonl has them",
                self._name,
            )

    def _run(self) -> None:
        try:
            self._send(self._connect())
        except Superseded:  # the run is another process's
            pass
        # What the clients of services raise is documented nowhere, and none of it concerns the run.
        except Exception as error:
            logging.warning(
                "config.train.writers: %s is off until the next start (%s: %s); metrics.jsonl has "
                "all metrics",
                *(self._name, type(error).__name__, textwrap.shorten(str(error), _LONGEST_SHOWN)),
            )

    def _send(self, tracker: Tracker) -> None:
        while not isinstance(item := self._items.get(), _End):
            self._check()
            tracker.write(*item)
        self._check()
        tracker.close(item.finished)
