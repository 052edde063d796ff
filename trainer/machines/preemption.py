"""Requests to stop: Ctrl-C, and SIGTERM as a machine sends it before it is taken away.

    with StopRequests() as stop:
        set_up()                    # a request raises Stopped at once
        with stop.deferred():
            for step in steps:
                train(step)
                stop.check()        # a request raises Stopped here only, between two steps

A second Ctrl-C ends the process at once. On Google's machines a preemption notice, which comes
before SIGTERM, counts as a request too.
"""

import contextlib
import http.client
import os
import signal
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from storage.early_signals import SIGNALS, stop_at_once
from storage.errors import UserError

# How long a process may save after a request. Google gives a Spot machine up to 30 seconds
# (https://cloud.google.com/compute/docs/instances/spot#preemption-process).
GRACE_SECONDS = 22.0
_POLL_SECONDS = 1.0
_POLL_TIMEOUT_SECONDS = 5.0
# https://cloud.google.com/compute/docs/metadata/predefined-metadata-keys
_PREEMPTED = "computeMetadata/v1/instance/preempted"


class Stopped(KeyboardInterrupt):
    """The process ends because it was asked to; the same command resumes the run."""


class StopRequests:
    """Receives requests to stop while the context is open; for a process's main thread only."""

    def __init__(self) -> None:
        self._requested_at: float | None = None
        self._deferred = False
        self._raised = False
        self._exit = contextlib.ExitStack()
        self._closed = threading.Event()

    def __enter__(self) -> "StopRequests":
        numbers, writer = socket.socketpair()
        writer.setblocking(False)  # as set_wakeup_fd needs it
        self._exit.enter_context(writer)
        threading.Thread(target=_count_interrupts, args=(numbers,), daemon=True).start()
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        self._exit.callback(signal.set_wakeup_fd, before)
        for number in SIGNALS:
            self._exit.callback(signal.signal, number, signal.getsignal(number))
            signal.signal(number, self._on_signal)
        if host := _metadata_host():
            self._exit.callback(self._closed.set)
            threading.Thread(target=self._watch_notices, args=(host,), daemon=True).start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, _: object) -> None:
        self._exit.close()
        if self._raised and isinstance(error, Exception) and not isinstance(error, UserError):
            # TensorFlow turns a Stopped that passes through it into an error of another type.
            self.check()

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Defers a request to the next `check` or to the block's end."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        self.check()

    def check(self, anywhere: Callable[[bool], bool] = bool) -> None:
        """Raises Stopped when there was a request.

        `anywhere` turns this process's answer into that of all workers, such as `Workers.any`.
        """
        if anywhere(self._requested_at is not None):
            self._requested_at = self._requested_at or time.monotonic()
            raise Stopped("Stopped; run the same command again.")

    def seconds_left(self) -> float:
        """Returns what remains of GRACE_SECONDS after the first request, at least 0."""
        now = time.monotonic()
        return max(0.0, (self._requested_at or now) + GRACE_SECONDS - now)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._requested_at is None:
            self._requested_at = time.monotonic()
            # A handler must not raise while steps run: TensorFlow's callbacks may swallow it.
            if not self._deferred:
                self._raised = True
                self.check()

    def _watch_notices(self, host: str) -> None:
        try:
            self._poll(host)
        # SIGTERM comes too, so the run can go on.
        except Exception as error:
            print(f"WARNING: preemption notices are not seen ({error!r})", file=sys.stderr)

    def _poll(self, host: str) -> None:
        """Waits for the machine's preemption notice, then sends this process a SIGTERM."""
        # Without a proxy, which would answer for another machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        opener.addheaders = [("Metadata-Flavor", "Google")]
        url = f"http://{host}/{_PREEMPTED}"
        while not self._closed.wait(_POLL_SECONDS):
            # A failed poll is not a notice; the next one may succeed.
            with contextlib.suppress(OSError, http.client.HTTPException):
                with opener.open(url, timeout=_POLL_TIMEOUT_SECONDS) as response:
                    preempted = response.read().strip() == b"TRUE"
                if preempted:
                    os.kill(os.getpid(), signal.SIGTERM)
                    return


def _count_interrupts(numbers: socket.socket) -> None:
    """Ends the process at the second Ctrl-C; the numbers of signals arrive from a socket.

    Python's handlers run in the main thread, which may be in a long call of TensorFlow.
    """
    interrupts = 0
    with numbers:
        while number := numbers.recv(1):
            interrupts += number[0] == signal.SIGINT
            if interrupts > 1:
                stop_at_once(signal.SIGINT, None)


def _metadata_host() -> str | None:
    """Returns the host of the metadata server on a machine of Google's, None on any other."""
    if host := os.environ.get("GCE_METADATA_HOST"):
        return host
    with contextlib.suppress(OSError):
        product = Path("/sys/class/dmi/id/product_name").read_text()
        return "metadata.google.internal" if product.startswith("Google") else None
    return None
