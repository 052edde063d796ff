"""Ends the process when a machine whose devices it uses is lost, so that the run can be resumed.

    watch(["10.0.0.5:8470", "10.0.0.6:8470"])

TensorFlow may wait forever for an answer from a lost machine.
"""

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence

from storage.exit_codes import RUN_AGAIN
from trainer.machines.preemption import GRACE_SECONDS

# The name of a thread that saves from this machine's own copy of the state. The process waits for
# it before it ends.
SAVE_THREAD = "save"
_POLL_SECONDS = 1.0
_ANSWER_SECONDS = 5.0
_watched: list[str] = []


def watch(
    addresses: Sequence[str], timeout: float = _ANSWER_SECONDS, lost_after: float = 20.0
) -> None:
    """Starts a thread that watches machines, given as host:port, until the process ends.

    A machine is lost when it refuses a connection, or when every attempt to connect within
    `timeout` seconds has failed for `lost_after` seconds; the process then ends with RUN_AGAIN.
    Raises OSError when a machine does not answer to begin with.
    """
    for address in addresses:
        try:
            _connect(address, lost_after)
        except OSError as error:
            raise OSError(f"{address}: {error.strerror or error}") from error
    _watched.extend(addresses)
    arguments = (addresses, timeout, lost_after)
    threading.Thread(target=_watch, args=arguments, name="watch", daemon=True).start()


def lost_now() -> str:
    """Returns a message about a watched machine that does not answer now; "" when all do.

    TensorFlow's error about a lost machine may come before the watch notices, and says little.
    """
    for address in _watched:
        try:
            _connect(address, _ANSWER_SECONDS)
        except OSError:
            return _lost(address)
    return ""


@contextlib.contextmanager
def exit_after(seconds: float, message: str) -> Iterator[None]:
    """Ends the process with RUN_AGAIN and a message if the block takes longer than `seconds`."""
    timer = threading.Timer(seconds, _exit, [message])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _watch(addresses: Sequence[str], timeout: float, lost_after: float) -> None:
    try:
        _watch_until_lost(addresses, timeout, lost_after)
    # Without the watch a lost machine would go unnoticed.
    except Exception as error:
        named = ", ".join(addresses)
        _exit(f"The machines at {named} can't be watched ({error!r}); run the same command again.")


def _watch_until_lost(addresses: Sequence[str], timeout: float, lost_after: float) -> None:
    last_answer = dict.fromkeys(addresses, time.monotonic())
    while True:
        time.sleep(_POLL_SECONDS)
        for address in addresses:
            try:
                _connect(address, timeout)
            except ConnectionRefusedError:  # a restarted server has lost this run's state
                _exit(_lost(address))
            except OSError:
                if time.monotonic() - last_answer[address] > lost_after:
                    _exit(_lost(address))
            else:
                last_answer[address] = time.monotonic()


def _connect(address: str, timeout: float) -> None:
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), timeout).close()


def _lost(address: str) -> str:
    return f"The machine at {address} is lost; run the same command again."


def _exit(message: str) -> None:
    """Waits for a save in progress, prints a message and ends the process."""
    for thread in threading.enumerate():
        if thread.name == SAVE_THREAD:
            thread.join(GRACE_SECONDS)
    with contextlib.suppress(OSError):  # the reader of standard error may have ended
        print(message, file=sys.stderr, flush=True)
    # The main thread may be blocked forever, and the state it would save is on the lost machine.
    os._exit(RUN_AGAIN)
