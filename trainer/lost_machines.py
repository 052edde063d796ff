"""Leaves when a machine whose devices this process uses is gone, so that it can be run again.

    watch(["10.0.0.5:8470", "10.0.0.6:8470"])

TensorFlow may wait for an answer of such a machine for ever.
"""

import os
import socket
import sys
import threading
import time
from collections.abc import Sequence

from trainer.preemption import STOPPED_FROM_OUTSIDE

_SECONDS_BETWEEN_LOOKS = 1.0
_SECONDS_TO_ANSWER = 5.0
_SECONDS_SILENT = 20.0  # after which a machine counts as gone


def watch(addresses: Sequence[str]) -> None:
    """Looks after host:port of each machine from a thread, for as long as the process lives.

    Raises OSError when one of them is not there to begin with.
    """
    for address in addresses:
        try:
            _connect(address)
        except OSError as error:
            raise OSError(f"{address}: {error.strerror or error}") from error
    threading.Thread(target=_watch, args=(addresses,), name="watch", daemon=True).start()


def _watch(addresses: Sequence[str]) -> None:
    heard = dict.fromkeys(addresses, time.monotonic())
    while True:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
        for address in addresses:
            try:
                _connect(address)
            except ConnectionRefusedError:  # a server started anew knows nothing of this run
                _leave(address)
            except OSError:
                if time.monotonic() - heard[address] > _SECONDS_SILENT:
                    _leave(address)
            else:
                heard[address] = time.monotonic()


def _connect(address: str) -> None:
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), _SECONDS_TO_ANSWER).close()


def _leave(address: str) -> None:
    print(f"The machine at {address} is gone; run the same command again.", file=sys.stderr)
    sys.stderr.flush()
    # The main thread may never come back, and saves nothing: what it would save is over there.
    os._exit(STOPPED_FROM_OUTSIDE)
