"""Brings the workers of a job together before TensorFlow connects them.

    wait_for_all(cluster, seconds=600.0)      # on every worker

While TensorFlow waits for a worker it is silent, has no time limit and hears no signal. Here the
chief listens at its address and the other workers connect to it. A worker sends its rank and then
an empty line a second; the chief sends the addresses that are missing, as JSON, a line a second. An
empty list sends all of them on.
"""

import contextlib
import json
import socket
import sys
import time
from collections.abc import Sequence

from storage.errors import UserError
from trainer.machines.cluster import Cluster
from trainer.machines.preemption import Stopped

_TICK_SECONDS = 0.1
_SECONDS_BETWEEN_LINES = 1.0
_LOST_AFTER_SECONDS = 20.0  # without a line
_NOTICE_AFTER_SECONDS = 5.0
_SECONDS_BETWEEN_NOTICES = 60.0
_MOST_NAMED = 10


def wait_for_all(cluster: Cluster, seconds: float) -> None:
    """Waits until every worker has called it; after a few seconds it names those that have not.

    Raises Stopped when a worker has not come within `seconds`, and when one is lost that had.
    Raises UserError when this worker can't listen at its own address.
    """
    wait = _Wait(seconds, len(cluster.addresses))
    with _listen(cluster.addresses[cluster.rank]) as listener:
        if cluster.is_chief:
            _gather(cluster.addresses, listener, wait)
            return
    _follow(cluster.addresses[0], cluster.rank, wait)


class _Wait:
    """How long this worker has waited, and what it says meanwhile."""

    def __init__(self, seconds: float, workers: int):
        self._seconds, self._workers = seconds, workers
        self._started = time.monotonic()
        self._next_notice = self._started + _NOTICE_AFTER_SECONDS

    def pause(self, missing: Sequence[str]) -> None:
        """Waits for a moment; prints who is missing when that is due. Raises Stopped at the end."""
        named = ", ".join(missing[:_MOST_NAMED])
        if len(missing) > _MOST_NAMED:
            named += f" and {len(missing) - _MOST_NAMED} more"
        now = time.monotonic()
        if now - self._started > self._seconds:
            raise Stopped(
                f"No answer from {named} within {self._seconds:g} s, "
                "config.strategy.connect_seconds; run the same command again."
            )
        if now > self._next_notice:
            self._next_notice = now + _SECONDS_BETWEEN_NOTICES
            text = f"Waiting for {len(missing)} of {self._workers} workers: {named}"
            print(text, file=sys.stderr, flush=True)
        time.sleep(_TICK_SECONDS)


class _Link:
    """A connection to another worker; raises ConnectionError when that one is lost."""

    def __init__(self, connection: socket.socket):
        self._socket = connection
        self._socket.setblocking(False)
        self._received = b""
        self._sent_at, self._heard_at = 0.0, time.monotonic()
        self.rank: int | None = None

    def receive(self) -> list[bytes]:
        """Returns the lines that have arrived."""
        with contextlib.suppress(BlockingIOError):
            while received := self._socket.recv(1 << 16):
                self._received += received
                self._heard_at = time.monotonic()
            raise ConnectionError("closed")
        if time.monotonic() - self._heard_at > _LOST_AFTER_SECONDS:
            raise ConnectionError("silent")
        *lines, self._received = self._received.split(b"\n")
        return lines

    def send(self, line: str, at_once: bool = False) -> None:
        """Sends a line, unless the last one was sent less than a second ago."""
        now = time.monotonic()
        if not at_once and now - self._sent_at < _SECONDS_BETWEEN_LINES:
            return
        self._sent_at = now
        data = line.encode() + b"\n"
        with contextlib.suppress(BlockingIOError):  # it does not read, and will be silent
            if self._socket.send(data) < len(data):
                raise ConnectionError("does not read")

    def close(self) -> None:
        """Closes the connection."""
        self._socket.close()


def _listen(address: str) -> socket.socket:
    """Listens at the port of an address, on all interfaces as TensorFlow does."""
    port = int(address.rpartition(":")[2])
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        listener = socket.create_server(("", port), family=family, dualstack_ipv6=both, backlog=512)
    except (OSError, OverflowError) as error:
        raise UserError(
            f"TF_CONFIG: this worker can't listen at {address}, its own address ({error}); end the "
            "process that has the port, or name another"
        ) from error
    listener.setblocking(False)
    return listener


def _gather(addresses: Sequence[str], listener: socket.socket, wait: _Wait) -> None:
    """Waits, as the chief, until each of the others is connected."""
    links: list[_Link] = []
    with contextlib.ExitStack() as stack:
        while True:
            with contextlib.suppress(BlockingIOError):
                while True:
                    links.append(_Link(listener.accept()[0]))
                    stack.callback(links[-1].close)
            links = [link for link in links if _is_worker(link, addresses)]
            ranks = {0, *(link.rank for link in links)}
            missing = [address for rank, address in enumerate(addresses) if rank not in ranks]
            for link in links:
                if link.rank is not None:
                    _send(link, missing, addresses[link.rank])
            if not missing:
                _wait_until_closed(links)
                return
            wait.pause(missing)


def _is_worker(link: _Link, addresses: Sequence[str]) -> bool:
    """Reads what has arrived. Returns False for a connection of something else than a worker."""
    try:
        for line in link.receive():
            if link.rank is None:
                link.rank = int(line)
                if not 0 < link.rank < len(addresses):
                    raise ValueError("no rank")
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and link.rank is not None:
            raise _lost(addresses[link.rank]) from error
        link.close()
        return False
    return True


def _send(link: _Link, missing: Sequence[str], address: str) -> None:
    try:
        link.send(json.dumps(missing), at_once=not missing)
    except OSError as error:
        raise _lost(address) from error


def _wait_until_closed(links: Sequence[_Link]) -> None:
    """Waits until the workers have read the last line; a connection closed earlier may lose it."""
    for link in links:
        with contextlib.suppress(OSError):
            while True:
                link.receive()
                time.sleep(_TICK_SECONDS)


def _follow(chief: str, rank: int, wait: _Wait) -> None:
    """Waits, as another worker than the chief, until the chief says that all are connected."""
    while True:
        with contextlib.suppress(OSError), _connect(chief) as connection:
            if _follow_connected(chief, _Link(connection), rank, wait):
                return
        wait.pause([chief])


def _follow_connected(chief: str, link: _Link, rank: int, wait: _Wait) -> bool:
    """Returns True when all are connected, False when the other end is not the chief.

    Raises OSError when the connection ends before a line from the chief has come.
    """
    missing: list[str] | None = None
    link.send(str(rank))
    while True:
        try:
            for line in link.receive():
                missing = list(json.loads(line))
            link.send("")
        except (ValueError, TypeError):  # not the chief's
            return False
        except OSError as error:
            if missing is None:
                raise
            raise _lost(chief) from error
        if missing == []:
            return True
        wait.pause([chief] if missing is None else missing)


def _connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=5.0)


def _lost(address: str) -> Stopped:
    return Stopped(
        f"The worker at {address} has left before all workers had come; run the same command again."
    )
