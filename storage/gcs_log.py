"""An append-only object in a bucket. See `storage.store.Log`.

Cloud Storage can't append, so a background thread writes the whole object again, at most once a
second, the limit for one object (https://cloud.google.com/storage/quotas#objects). This suits logs
that stay small, a few megabytes.
"""

import threading
from collections.abc import Callable

from absl import logging

from storage.errors import Superseded, UserError

_SECONDS_BETWEEN = 1.0


class GcsLog:
    """A Log that buffers in memory. Only `close` raises when a write has failed for good."""

    def __init__(self, put: Callable[[bytes], None], data: bytes):
        """`put` replaces the object, or raises Superseded when another process has opened it."""
        self._put = put
        self._data = bytearray(data)
        self._stored = len(data)  # bytes
        self._error: UserError | None = None  # of the last write
        self._end: BaseException | None = None  # what has ended the thread
        self._changed = threading.Condition()
        self._closing = threading.Event()
        put(data)
        # A daemon thread, so that a process that has to exit doesn't wait for it.
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def append(self, data: bytes) -> None:
        self._check()
        with self._changed:
            self._data += data
            self._changed.notify()

    def close(self, seconds: float | None = None) -> None:
        self._closing.set()
        with self._changed:
            self._changed.notify()
        self._thread.join(seconds)
        self._check()
        if self._error:
            raise self._error

    def _check(self) -> None:
        if self._end:
            raise self._end

    def _run(self) -> None:
        try:
            self._store_until_closed()
        except Superseded:  # the object is another process's
            pass
        # Any other error belongs to the thread that appends.
        except BaseException as error:
            self._end = error

    def _store_until_closed(self) -> None:
        last = False
        while not last:
            with self._changed:
                self._changed.wait_for(lambda: self._has_more() or self._closing.is_set())
                data, last = bytes(self._data), self._closing.is_set()
            if self._has_more():
                self._store(data)
            self._closing.wait(_SECONDS_BETWEEN)

    def _has_more(self) -> bool:
        return len(self._data) > self._stored

    def _store(self, data: bytes) -> None:
        try:
            self._put(data)
            self._stored, self._error = len(data), None
        except Superseded:
            raise
        except UserError as error:
            if self._error is None:
                logging.warning("%s; still retrying", error)
            self._error = error
