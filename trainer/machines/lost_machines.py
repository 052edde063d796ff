"""Leaves when a machine whose devices this process uses is gone, so that it can be run again.

    watch(["10.0.0.5:8470", "10.0.0.6:8470"])

TensorFlow may wait for an answer of such a machine for ever.
"""

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Sequence

from trainer.machines.preemption import SECONDS_GIVEN, STOPPED_FROM_OUTSIDE

SAVE = "save"  # the name of a thread that saves what this machine has a copy of
_SECONDS_BETWEEN_LOOKS = 1.0


def watch(addresses: Sequence[str], answer: float = 5.0, silent: float = 20.0) -> None:
    """Looks after host:port of each machine from a thread, for as long as the process lives.

    One that has not answered within `answer` seconds for `silent` seconds is gone. Raises OSError
    when one of them is not there to begin with.
    """
    for address in addresses:
        try:
            _connect(address, silent)
        except OSError as error:
            raise OSError(f"{address}: {error.strerror or error}") from error
    arguments = (addresses, answer, silent)
    threading.Thread(target=_watch, args=arguments, name="watch", daemon=True).start()


def _watch(addresses: Sequence[str], answer: float, silent: float) -> None:
    heard = dict.fromkeys(addresses, time.monotonic())
    while True:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
        for address in addresses:
            try:
                _connect(address, answer)
            except ConnectionRefusedError:  # a server started anew knows nothing of this run
                _leave(address)
            except OSError:
                if time.monotonic() - heard[address] > silent:
                    _leave(address)
            else:
                heard[address] = time.monotonic()


def _connect(address: str, seconds: float) -> None:
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), seconds).close()


def _leave(address: str) -> None:
    for thread in threading.enumerate():
        if thread.name == SAVE:
            thread.join(SECONDS_GIVEN)
    with contextlib.suppress(OSError):  # nobody reads it any more
        print(f"The machine at {address} is gone; run the same command again.", file=sys.stderr)
        sys.stderr.flush()
    # The main thread may never come back, and what it would save is over there.
    os._exit(STOPPED_FROM_OUTSIDE)
