"""Requests to leave: SIGTERM, as machines send before they are taken away, and Ctrl-C.

    with StopRequests() as stop:
        set_up()                    # a request ends this at once, with Stopped
        with stop.deferred():
            stop.check()            # only here it does, between two steps

On Google's machines the notice that precedes SIGTERM is heeded as well.
"""

import contextlib
import http.client
import os
import signal
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from storage.errors import UserError

STOPPED_FROM_OUTSIDE = 75  # the exit code that says: run me again
# https://cloud.google.com/compute/docs/instances/spot#preemption-process: a machine is given up to
# 30 seconds between the notice and its end.
SECONDS_GIVEN = 22.0
_SECONDS_BETWEEN_POLLS = 1.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PREEMPTED = "computeMetadata/v1/instance/preempted"


class Stopped(KeyboardInterrupt):
    """The process leaves because it was asked to; the same command carries on."""


class StopRequests:
    """Listens for as long as the context lasts; only in a process's main thread."""

    def __init__(self):
        self._requested_at: float | None = None
        self._interrupts = 0
        self._deferred = False
        self._raised = False
        self._before = {}
        self._over = threading.Event()

    def __enter__(self) -> "StopRequests":
        self._before = {number: signal.getsignal(number) for number in _SIGNALS}
        self.listen()
        if host := _metadata_host():
            threading.Thread(target=self._poll, args=(host,), daemon=True).start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, _) -> None:
        self._over.set()
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._raised and isinstance(error, Exception) and not isinstance(error, UserError):
            # It met TensorFlow on its way up, which makes an error of its own of it.
            self.check()

    def listen(self) -> None:
        """Takes the signals back from a library that has put handlers of its own in between."""
        for number in _SIGNALS:
            signal.signal(number, self._note)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Within, a request waits for `check` or the end; only a second Ctrl-C does not."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        self.check()

    def check(self, anywhere: Callable[[bool], bool] = bool) -> None:
        """Raises Stopped when there was a request, or on another worker, as `anywhere` finds."""
        if anywhere(self._requested_at is not None):
            self._requested_at = self._requested_at or time.monotonic()
            raise Stopped("Stopped; run the same command again.")

    def seconds_left(self) -> float:
        """Of those a machine is given to put things in order, since the first request."""
        return max(0.0, self._requested_at + SECONDS_GIVEN - time.monotonic())

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._interrupts += number == signal.SIGINT
        if self._interrupts > 1:
            raise KeyboardInterrupt
        if self._requested_at is None:
            self._requested_at = time.monotonic()
            # While steps run it is not raised from here: TensorFlow's callbacks may swallow it.
            if not self._deferred:
                self._raised = True
                self.check()

    def _poll(self, host: str) -> None:
        """Waits for the machine's notice and passes it on as the signal that will follow it."""
        # Not through a proxy: it would answer for another machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        opener.addheaders = [("Metadata-Flavor", "Google")]
        while not self._over.wait(_SECONDS_BETWEEN_POLLS):
            # No answer is no notice; the next poll may have one.
            with contextlib.suppress(OSError, http.client.HTTPException):
                with opener.open(f"http://{host}/{_PREEMPTED}", timeout=5) as answer:
                    preempted = answer.read().strip() == b"TRUE"
                if preempted:
                    os.kill(os.getpid(), signal.SIGTERM)
                    return


def _metadata_host() -> str | None:
    """Where a machine of Google's tells about itself; None on any other."""
    if host := os.environ.get("GCE_METADATA_HOST"):
        return host
    with contextlib.suppress(OSError):
        product = Path("/sys/class/dmi/id/product_name").read_text()
        return "metadata.google.internal" if product.startswith("Google") else None
    return None
