"""Shares tasks among processes through a store; the tasks of a lost process are taken over.

    with leases.Worker(store) as worker:              # renews a lease in the background
        for task in worker.take(["train-000000", "train-000001"], of=2, done=done):
            make(task)                                # whoever makes it must get the same bytes
            worker.release(task)

A lease is an object in whose name a counter grows while its process lives. Who has seen the same
counter for LAPSE_SECONDS by its own clock takes the process for lost, so the clocks of different
machines are never compared. A task is held by the lease that its latest claim names, and is free
when that lease has lapsed or was given back. Of several processes exactly one gets a claim. A
process that was frozen for longer than its lease may still do a task that another one took over:
then both do it.
"""

import contextlib
import re
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Sequence
from types import TracebackType
from typing import Protocol

from storage.errors import UserError
from storage.store import Store

FOLDER = "workers/"  # of all that workers leave for each other until everything is done
# After how long without a renewal a process counts as lost. A bucket answers within a second, so
# five renewals in a row have to fail or be late. If a process is taken for lost by mistake, a task
# is done twice; a longer time would make the others wait longer for the tasks of a killed process.
LAPSE_SECONDS = 20.0
_RENEWALS = 5  # within LAPSE_SECONDS
# How long to wait until the lease is given back; if the store doesn't answer, the lease lapses.
_SECONDS_TO_LEAVE = 5.0
_POLL_SECONDS = 1.0
_LEASE = re.compile(rf"{FOLDER}lease-(\w+)-(\d+)")
_CLAIM = re.compile(rf"{FOLDER}claim-(.+)-(\d+)")


class Worker:
    """This process among those that share tasks; it has a lease while the context is open.

    Raises UserError when the context opens unless objects can be created and deleted.
    """

    def __init__(
        self,
        store: Store,
        lapse_seconds: float = LAPSE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ):
        """`lapse_seconds` is the same for all workers; `clock` is this process's."""
        self._store, self._lapse_seconds, self._clock = store, lapse_seconds, clock
        self._id = uuid.uuid4().hex
        self._renewals = 0
        self.met: set[str] = set()  # ids of all other workers that were seen
        # Id of each lease -> its counter, and when this process first saw it.
        self._seen: dict[str, tuple[int, float]] = {}
        self._claims: dict[str, int] = {}  # task -> number of this worker's claim
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._keep_lease, daemon=True)

    def __enter__(self) -> "Worker":
        for _ in range(2):  # the second time deletes an object, which may not be permitted
            self._renew()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closed.set()
        self._thread.join(_SECONDS_TO_LEAVE)

    def others(self) -> int:
        """Returns how many other workers live, as far as this one knows."""
        self._look()
        return len(self._live()) - 1

    def free(self, tasks: Iterable[str]) -> list[str]:
        """Returns those of `tasks` that no live worker holds."""
        return list(self._next_claims(tasks))

    def take(self, tasks: Iterable[str], of: int, done: Callable[[], Collection[str]]) -> list[str]:
        """Claims those of `tasks` that are free, up to a fair part of `of`, and returns them.

        The fair part is `of` divided by the number of live workers, rounded up. `done` returns the
        tasks that are done, which are not claimed. A task has to be done before it is released.
        """
        finished = done()
        free = self._next_claims(task for task in tasks if task not in finished)
        most = -(-of // len(self._live()))
        taken: list[str] = []
        for task, number in free.items():
            if len(taken) < most and self._claim(task, number):
                taken.append(task)
        # Another worker may have done a task and released it between `done` and the claim.
        finished = done() if taken else ()
        for task in taken:
            if task in finished:
                self.release(task)
        return [task for task in taken if task not in finished]

    def release(self, task: str) -> None:
        """Removes the claims on a task that this worker has done, or leaves to others."""
        own = self._claims.pop(task)
        # Another worker's claim may have the name of one that was cleared.
        if self._holder(task, own) == self._id:
            for number in range(own + 1):  # the latest one last: until then the task is not free
                self._store.delete(_claim_name(task, number))

    def holds(self, task: str) -> bool:
        """Returns False when another worker has taken over a task that this one claimed.

        That happens to a worker that was frozen for longer than its lease.
        """
        number = self._claims[task]
        is_taken_over = self._store.exists(_claim_name(task, number + 1))
        return self._holder(task, number) == self._id and not is_taken_over

    def _claim(self, task: str, number: int) -> bool:
        """Returns False when another worker was faster."""
        try:
            self._store.create(_claim_name(task, number), self._id.encode())
        except FileExistsError:
            return False
        self._claims[task] = number
        return True

    def _next_claims(self, tasks: Iterable[str]) -> dict[str, int]:
        """Returns the free ones of `tasks`, each with the number of its next claim."""
        latest: dict[str, int] = {}
        for match in filter(None, map(_CLAIM.fullmatch, self._look())):
            latest[match[1]] = max(int(match[2]), latest.get(match[1], 0))
        # A claim that is gone by now (None) was there at the look; the next one finds it free.
        held = {None, *self._live()}
        return {
            task: latest.get(task, -1) + 1
            for task in tasks
            if task not in latest or self._holder(task, latest[task]) not in held
        }

    def _holder(self, task: str, number: int) -> str | None:
        """Returns the id of the lease that a claim names; None when the claim was removed."""
        try:
            return self._store.read(_claim_name(task, number)).decode()
        except FileNotFoundError:
            return None

    def _live(self) -> set[str]:
        """Returns the ids of the leases that have not lapsed, this worker's included."""
        return {self._id, *self._seen}

    def _look(self) -> list[str]:
        """Notes which leases there are, removes lapsed ones, and returns the names in FOLDER."""
        names, now = self._store.list(FOLDER), self._clock()
        counters: dict[str, int] = {}
        for match in filter(None, map(_LEASE.fullmatch, names)):
            counters[match[1]] = max(int(match[2]), counters.get(match[1], 0))
        before, self._seen = self._seen, {}
        for lease, counter in counters.items():
            seen = before.get(lease, (counter, now))
            self._seen[lease] = seen if seen[0] == counter else (counter, now)
            if now - self._seen[lease][1] >= self._lapse_seconds and lease != self._id:
                del self._seen[lease]
                self._remove_lease(lease, names)
        self.met |= counters.keys() - {self._id}
        return names

    def _remove_lease(self, lease: str, names: Iterable[str]) -> None:
        for name in names:
            if name.startswith(f"{FOLDER}lease-{lease}-"):
                self._store.delete(name)

    def _keep_lease(self) -> None:
        """Renews the lease until the context ends, and gives it back."""
        while not self._closed.wait(self._lapse_seconds / _RENEWALS):
            # If the store stays out of order, the worker itself meets the error.
            with contextlib.suppress(UserError):
                self._renew()
        with contextlib.suppress(UserError):
            self._remove_lease(self._id, self._store.list(FOLDER))

    def _renew(self) -> None:
        # In this order, so that the lease is there at any moment.
        self._store.create(f"{FOLDER}lease-{self._id}-{self._renewals + 1}", b"")
        self._store.delete(f"{FOLDER}lease-{self._id}-{self._renewals}")
        self._renewals += 1


class Job(Protocol):
    """Tasks that belong together."""

    def is_done(self) -> bool:
        """Returns True when all tasks are done, by any worker."""

    def run(self) -> bool:
        """Does some free tasks; returns False when there are none."""


def complete(worker: Worker, jobs: Sequence[Job], say: Callable[[str], object]) -> None:
    """Returns when all jobs are done; this worker does what no other one does, and waits for them.

    `say` is called once if it has to wait.
    """
    has_waited = False
    while left := [job for job in jobs if not job.is_done()]:
        has_worked = [job.run() for job in left]
        if any(has_worked):
            continue
        if not has_waited and (others := worker.others()):
            say(f"Waiting for {others} other worker(s); the work of a lost one is taken over")
            has_waited = True
        time.sleep(_POLL_SECONDS)


def clear_claims(store: Store, tasks: Collection[str]) -> None:
    """Removes all claims on tasks that are done; others may go on with other tasks."""
    for match in filter(None, map(_CLAIM.fullmatch, store.list(FOLDER))):
        if match[1] in tasks:
            store.delete(match.string)


def clear(store: Store) -> None:
    """Removes all that workers have left for each other; call it once everything is done."""
    for name in store.list(FOLDER):
        store.delete(name)


def _claim_name(task: str, number: int) -> str:
    return f"{FOLDER}claim-{task}-{number}"
