"""Requests to leave: SIGTERM, as machines send before they are taken away, and Ctrl-C.

    with StopRequests() as stop:
        while not stop.requested: ...      # finish the step, save, raise Stopped

A second request does not wait and raises KeyboardInterrupt on the spot.
"""

import signal
from types import FrameType


class Stopped(KeyboardInterrupt):
    """The process leaves because it was asked to; the same command carries on."""


class StopRequests:
    """Listens for as long as the context lasts; only in a process's main thread."""

    def __init__(self):
        self.requested = False
        self._before = {}

    def __enter__(self) -> "StopRequests":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        # Not raised from here: TensorFlow's callbacks may swallow what a handler raises.
        self.requested = True
