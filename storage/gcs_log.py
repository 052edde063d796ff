"""An object in a bucket that grows at its end. See `storage.store.Log`.

Cloud Storage can't append: a thread writes the whole object anew, behind whoever appends, at most
once a second, which is what one object bears
(https://cloud.google.com/storage/quotas#objects). So it suits what stays small, a few megabytes.
"""

import threading
from collections.abc import Callable

from absl import logging

from storage.errors import Superseded, UserError

_SECONDS_BETWEEN = 1.0


class GcsLog:
    """Buffers in memory; only `close` tells that a write has failed for good."""

    def __init__(self, put: Callable[[bytes], None], data: bytes):
        """`put` replaces the object, or raises Superseded when it is another process's by now."""
        self._put = put
        self._data = bytearray(data)
        self._stored = len(data)  # bytes
        self._error: UserError | None = None
        self._changed = threading.Condition()
        self._closing = threading.Event()
        put(data)
        # A daemon: a process that has to leave doesn't wait for it.
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def append(self, data: bytes) -> None:
        with self._changed:
            self._data += data
            self._changed.notify()

    def close(self, seconds: float | None = None) -> None:
        self._closing.set()
        with self._changed:
            self._changed.notify()
        self._thread.join(seconds)
        if self._error:
            raise self._error

    def _run(self) -> None:
        last = False
        while not last:
            with self._changed:
                self._changed.wait_for(lambda: self._behind() or self._closing.is_set())
                data, last = bytes(self._data), self._closing.is_set()
            if self._behind():
                try:
                    self._store(data)
                except Superseded:
                    return
            self._closing.wait(_SECONDS_BETWEEN)

    def _behind(self) -> bool:
        return len(self._data) > self._stored

    def _store(self, data: bytes) -> None:
        try:
            self._put(data)
            self._stored, self._error = len(data), None
        except Superseded:
            raise
        except UserError as error:
            if self._error is None:
                logging.warning("%s; trying on", error)
            self._error = error
