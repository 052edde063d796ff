"""Run with `python -m pytest tests/storage/leases_test.py`."""

import contextlib
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from storage import leases
from storage.errors import UserError
from storage.leases import Worker
from storage.store import open_store
from tests.fakes.gcs_faults import Fault

TASKS = [f"train-{number:06}" for number in range(16)]
NEVER = 1e9  # seconds; a lease with this time is not renewed during a test


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self):
        return self.now


def nothing():
    return ()


def take(worker, tasks=TASKS):
    return worker.take(tasks, len(tasks), nothing)


def test_single_worker_takes_all(store):
    with Worker(store) as worker:
        assert worker.free(TASKS) == TASKS
        assert take(worker) == TASKS
        assert worker.free(TASKS) == []
        assert take(worker) == []
        assert (worker.others(), worker.met) == (0, set())


@pytest.mark.parametrize(("workers", "shares"), [(2, [8, 8]), (3, [6, 6, 4]), (5, [4, 4, 4, 4, 0])])
def test_live_workers_take_fair_parts(store, workers, shares):
    with contextlib.ExitStack() as stack:
        all_workers = [stack.enter_context(Worker(store)) for _ in range(workers)]
        taken = [take(worker) for worker in all_workers]
        assert all_workers[0].others() == workers - 1
    assert list(map(len, taken)) == shares
    assert sorted(itertools.chain(*taken)) == TASKS


def test_workers_at_the_same_moment_take_different_tasks(store):
    threads = 4
    start = threading.Barrier(threads)

    def work(_):
        with Worker(store) as worker:
            start.wait()
            taken = take(worker)
            start.wait()
        return taken

    with ThreadPoolExecutor(threads) as pool:
        taken = list(pool.map(work, range(threads)))
    assert sorted(itertools.chain(*taken)) == TASKS
    assert max(map(len, taken)) == 4


def test_workers_come_and_go_at_the_same_moment(store):
    # The last one that goes deletes the folder of a local store.
    def work(_):
        for _ in range(20):
            with Worker(store) as worker:
                for task in take(worker, TASKS[:1]):
                    worker.release(task)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert store.list() == []


def test_tasks_of_a_worker_that_ends_are_free_at_once(store):
    with Worker(store) as worker:
        with Worker(store) as other:
            assert take(other, TASKS[:2]) == TASKS[:1]
        assert take(worker) == TASKS


def test_lease_that_is_not_renewed_lapses_by_the_clock_of_the_observer(store):
    clock = Clock()
    with Worker(store, NEVER) as lost, Worker(store, clock=clock) as worker:
        assert take(lost, TASKS[:1]) == TASKS[:1]
        clock.now = 1000.0
        assert worker.free(TASKS[:1]) == []
        clock.now += leases.LAPSE_SECONDS - 0.1
        assert worker.free(TASKS[:1]) == []
        clock.now += 0.1
        assert worker.free(TASKS[:1]) == TASKS[:1]
        assert worker.others() == 0
        assert take(worker, TASKS[:1]) == TASKS[:1]
        assert len(store.list(leases.FOLDER + "lease-")) == 1


def test_renewed_lease_never_lapses(store):
    clock = Clock()
    with Worker(store, lapse_seconds=0.05) as other, Worker(store, NEVER, clock) as worker:
        assert take(other, TASKS[:1]) == TASKS[:1]
        for _ in range(3):
            assert worker.free(TASKS[:1]) == []
            seen = store.list(leases.FOLDER + "lease-")
            while not set(store.list(leases.FOLDER + "lease-")) - set(seen):
                pass  # it is renewed every 10 ms
            clock.now += NEVER


def test_woken_worker_and_the_one_that_took_over_both_finish(store):
    clock = Clock()
    with Worker(store, NEVER) as frozen, Worker(store, clock=clock) as worker:
        assert take(frozen, TASKS[:1]) == TASKS[:1]
        worker.free(TASKS)
        assert frozen.holds(TASKS[0])
        clock.now = leases.LAPSE_SECONDS
        assert take(worker, TASKS[:1]) == TASKS[:1]
        assert (frozen.holds(TASKS[0]), worker.holds(TASKS[0])) == (False, True)
        assert frozen.free(TASKS[:1]) == []
        frozen.release(TASKS[0])
        assert frozen.free(TASKS[:1]) == []
        worker.release(TASKS[0])
        assert frozen.free(TASKS[:1]) == TASKS[:1]
    assert store.list() == []


def test_task_that_another_one_has_done_since_is_not_held(store):
    clock = Clock()
    with Worker(store, NEVER) as frozen, Worker(store, clock=clock) as worker:
        take(frozen, TASKS[:1])
        worker.free(TASKS)
        clock.now = leases.LAPSE_SECONDS
        take(worker, TASKS[:1])
        worker.release(TASKS[0])
        assert not frozen.holds(TASKS[0])


def test_task_that_is_done_is_not_taken(store):
    done = iter([{TASKS[0]}, {TASKS[0], TASKS[2]}])  # before and after the claim
    with Worker(store) as worker:
        assert worker.take(TASKS[:3], 3, lambda: next(done)) == [TASKS[1]]
        assert store.list(f"{leases.FOLDER}claim-") == [f"{leases.FOLDER}claim-{TASKS[1]}-0"]


def test_task_that_is_released_during_a_look_is_claimed_from_the_first_number_on(
    store, monkeypatch
):
    with Worker(store) as holder, Worker(store) as other:
        take(holder, TASKS[:1])
        read, releases = store.read, iter([holder.release])

        def read_after_release(name):
            if release := next(releases, None):
                release(TASKS[0])
            return read(name)

        monkeypatch.setattr(store, "read", read_after_release)
        assert other.free(TASKS[:1]) == []  # it was held when its claims were listed
        assert take(other, TASKS[:1]) == TASKS[:1]
        assert store.list(f"{leases.FOLDER}claim-") == [f"{leases.FOLDER}claim-{TASKS[0]}-0"]


def test_worker_whose_claim_was_cleared_leaves_that_of_another_alone(store):
    with Worker(store) as one, Worker(store) as other:
        take(one, TASKS[:1])
        leases.clear_claims(store, TASKS[:1])
        assert take(other, TASKS[:1]) == TASKS[:1]
        assert not one.holds(TASKS[0])
        one.release(TASKS[0])
        assert other.holds(TASKS[0])


def test_only_claims_on_the_given_tasks_are_cleared(store):
    with Worker(store) as worker:
        take(worker, TASKS[:2])
        leases.clear_claims(store, TASKS[:1])
        assert (worker.holds(TASKS[0]), worker.holds(TASKS[1])) == (False, True)
        assert store.list(leases.FOLDER + "lease-")


class Countdown:
    """A job that is done after `runs` runs of which each finds something to do."""

    def __init__(self, runs, busy=0):
        self.left, self.busy = runs, busy

    def is_done(self):
        self.busy -= 1  # another worker does something meanwhile
        return self.left == 0 and self.busy < 0

    def run(self):
        has_worked = self.left > 0
        self.left -= has_worked
        return has_worked


def test_worker_waits_until_all_jobs_are_done(store, monkeypatch):
    monkeypatch.setattr(leases, "_POLL_SECONDS", 0)
    said = []
    with Worker(store) as worker, Worker(store):
        leases.complete(worker, [Countdown(2), Countdown(1, busy=9)], said.append)
    assert said == ["Waiting for 1 other worker(s); the work of a lost one is taken over"]


def test_worker_that_never_waits_says_nothing(store):
    said = []
    with Worker(store) as worker, Worker(store):
        leases.complete(worker, [Countdown(2), Countdown(0)], said.append)
    assert said == []


def test_cleared_store_is_empty(store):
    with Worker(store) as worker:
        take(worker)
        leases.clear(store)
    assert store.list() == []


@pytest.mark.parametrize("operation", ["insert", "delete"])
def test_store_that_permits_too_little_is_refused(cloud, tmp_path, operation):
    store = open_store(f"gs://bucket/{tmp_path.name}/set")
    # The first deletion is that of an object that isn't there, and finds no fault.
    cloud.inject(Fault("403", operation, skip=operation == "delete"))
    with pytest.raises(UserError, match=r"^--workdir: gs://.*: not permitted"), Worker(store):
        pass
    cloud.clear()


def test_failed_renewal_is_tried_again(cloud, tmp_path):
    store = open_store(f"gs://bucket/{tmp_path.name}/set")
    with Worker(store, lapse_seconds=0.05) as worker:
        fault = cloud.inject(Fault("403", "insert", name="lease-"))
        while not fault.hits:
            pass
        take(worker)
        seen = store.list(leases.FOLDER + "lease-")
        while not set(store.list(leases.FOLDER + "lease-")) - set(seen):
            pass
    cloud.clear()
    assert not store.list(leases.FOLDER + "lease-")
