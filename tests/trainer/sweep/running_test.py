"""Trials as processes: what ends, fails, is stopped, resumed and shared. The runs are fake."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from storage import leases
from storage.store import open_store
from trainer.machines.preemption import Stopped, StopRequests
from trainer.sweep import results
from trainer.sweep.halving import Halving


def starts(store, number):
    return len(store.list(f"trials/{number:04}-seed={number}/claims/"))


@pytest.fixture
def local(tmp_path):
    return open_store(str(tmp_path / "sweep"))


def test_trials_are_settled_and_the_failure_of_one_ends_only_that_one(store, run_sweep):
    found = run_sweep(store, ["0.6,0.8,0.7", "0.5 fail", "0.5 crash", "0.9"])
    assert [r.state for r in found] == ["done", "failed", "failed", "done"]
    assert [r.score for r in found] == [0.8, 0.5, 0.5, 0.9]
    assert (found[0].step, found[0].epochs, found[0].seconds) == (20, 3, 180)
    assert found[1].message == "config.optimizer.warmup_steps: too many"
    assert found[2].message == "it was ended by SIGKILL"
    command, *lines = store.read("logs/0000-seed=0.log").decode().splitlines()
    assert command.startswith("$ ") and "fake_run" in command
    assert lines == ["Epoch: 1", "Epoch: 2", "Epoch: 3"]


def test_same_command_skips_what_is_done_and_tries_failures_again(local, run_sweep):
    run_sweep(local, ["0.6", "0.5 fail"])
    commands = []
    found = run_sweep(local, ["0.6", "0.5 fail"], commands=commands)
    assert commands == ["0001-seed=1"]
    assert (found[1].state, found[1].attempt) == ("failed", 2)
    found = run_sweep(local, ["0.6", "0.5 leave"])  # as when its machine is taken away
    assert found[1].state == "failed"
    found = run_sweep(local, ["0.6", "0.5,0.8"])
    assert [(r.state, r.score) for r in found] == [("done", 0.6), ("done", 0.8)]
    assert local.list("workers/") == []
    run_sweep(local, ["0.6", "0.5"], commands=(left := []))
    assert left == []
    assert [starts(local, number) for number in range(2)] == [1, 4]
    assert local.read("logs/0001-seed=1.log").count(b"$ ") == 4


def test_sweep_that_ends_leaves_the_trials_of_a_larger_one_alone(store, run_sweep):
    with leases.Worker(store) as other:
        assert other.take(["0007-seed=7"], of=1, done=list)
        run_sweep(store, ["0.6"])
        assert other.holds("0007-seed=7")
        assert store.list(leases.FOLDER + "lease-")


def test_trial_that_was_stopped_from_outside_is_left_for_the_next_command(local, run_sweep):
    (found,) = run_sweep(local, ["0.6 leave"])
    assert (found.state, found.score) == ("unfinished", 0.6)


def test_bad_trials_are_stopped_early_and_stay_so(local, run_sweep):
    runs = ["0.5,0.6,0.7,0.8", "0.4 wait", "0.9,0.9,0.9,0.9", "0.6,0.5,0.4 wait", "0.3 wait"]
    found = run_sweep(local, runs, halving=Halving(local))
    assert [r.state for r in found] == ["done", "stopped early", "done", *["stopped early"] * 2]
    assert [r.epochs for r in found] == [4, 1, 4, 3, 1]
    commands = []
    again = run_sweep(local, runs, halving=Halving(local), commands=commands)
    assert again == found
    assert commands == []


def test_trial_that_was_to_be_stopped_is_not_started_again(local, run_sweep):
    """As after a kill between the verdict and the result."""
    halving = Halving(local)
    run_sweep(local, ["0.9", "0.1 wait"], halving=halving)
    local.delete("results/0001-seed=1.json")
    (_, found) = run_sweep(local, ["0.9", "0.1 wait"], halving=Halving(local))
    assert found.state == results.STOPPED_EARLY
    assert starts(local, 1) == 1


def test_stop_lets_the_run_leave_and_the_same_command_resumes_it(local, run_sweep):
    with StopRequests() as stop, pytest.raises(Stopped):
        run_sweep(local, ["0.6", "0.7,0.8 stop", "0.9"], stop)
    assert b"Stopped; the same command resumes." in local.read("logs/0001-seed=1.log")
    assert [name for name in local.list("workers/") if "lease" in name] == []
    found = run_sweep(local, ["0.6", "0.7,0.8,0.75", "0.9"])
    assert [r.state for r in found] == ["done"] * 3
    assert (found[1].score, found[1].epochs) == (0.8, 3)
    assert [starts(local, number) for number in range(3)] == [1, 2, 1]


def test_parallel_runs_are_at_once(local, run_sweep):
    """Stopping finds both: the second one waits, and the first one asks the sweep to leave."""
    with StopRequests() as stop, pytest.raises(Stopped):
        run_sweep(local, ["0.6 wait", "0.7 stop 0000-seed=0", "0.8"], stop, parallel=2)
    assert [starts(local, number) for number in range(3)] == [1, 1, 0]
    for number in range(2):
        assert b"Stopped;" in local.read(f"logs/000{number}-seed={number}.log")


def test_two_workers_share_the_trials(local, run_sweep):
    runs = ["0.1", "0.2", "0.3", "0.4"]
    both = [[], []]
    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(run_sweep, local, runs, commands=commands) for commands in both]
    first, second = (future.result() for future in done)
    assert [r.score for r in first] == [r.score for r in second] == [0.1, 0.2, 0.3, 0.4]
    assert sorted(both[0] + both[1]) == [f"000{n}-seed={n}" for n in range(4)]


def test_trials_of_a_lost_worker_are_taken_over(local, run_sweep):
    with leases.Worker(local, lapse_seconds=1e9) as lost:
        assert lost.take(["0000-seed=0"], of=1, done=tuple) == ["0000-seed=0"]
        found = run_sweep(local, ["0.5", "0.6"], lapse_seconds=0.5)
        assert not lost.holds("0000-seed=0")
    assert [r.state for r in found] == ["done", "done"]
