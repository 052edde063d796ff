"""Jobs of two workers, which run as processes on this machine."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from storage.store import open_store
from tests.conftest import STORES
from tests.trainer.modes.runs import lines, numbers, tensors
from trainer.machines.preemption import StopRequests
from trainer.modes import prepare, train
from trainer.run.clock import Clock

REPOSITORY = Path(__file__).parents[3]


def launcher(flags, workdir, *extra):
    """Starts `deploy.submit` with two workers."""
    return subprocess.Popen(
        [sys.executable, "-m", "deploy.submit", "--workers=2", *extra, *flags,
         f"--workdir={workdir}"],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(process):
    """Waits for a process; returns its exit code, output and errors."""
    output, errors = process.communicate()
    return process.returncode, output, errors


def worker_pids(process):
    """The process ids of a launcher's workers, by rank."""
    tasks = Path(f"/proc/{process.pid}/task").iterdir()
    pids = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
    return sorted(pids)


def read_until(process, pattern):
    """Reads the output up to a line that matches; returns what was read."""
    read = []
    for line in process.stdout:
        read.append(line)
        if re.search(pattern, line):
            return "".join(read)
    raise AssertionError(f"no {pattern!r} in:\n{''.join(read)}")


@pytest.fixture(scope="session")
def pair_finished(flags, tmp_path_factory):
    """Returns the workdir of an uninterrupted run by two workers; a test must not change it."""
    workdir = tmp_path_factory.mktemp("pairs") / "finished"
    code, output, errors = finish(launcher(flags, workdir))
    assert code == 0, output + errors
    return workdir


def test_two_workers_end_with_the_bits_of_one_process(pair_finished, finished):
    assert numbers(pair_finished) == numbers(finished)
    assert tensors(pair_finished) == tensors(finished)


@pytest.mark.slow
def test_job_whose_workers_are_killed_ends_with_the_same_numbers(
    flags, pair_finished, tmp_path, cloud
):
    """A worker is killed as training begins, then the chief in the middle of it."""
    url = STORES["gs"](tmp_path)
    process = launcher(flags, url, "--max_restarts=2")
    for rank, line in ((1, "reviews to train on"), (0, "Epoch: 1/2")):
        read_until(process, line)
        os.kill(worker_pids(process)[rank], signal.SIGKILL)
        read_until(process, r"launcher\] workers left with .*-9")
    code, output, errors = finish(process)
    assert code == 0, output + errors
    assert numbers(url) == numbers(pair_finished)
    assert tensors(url) == tensors(pair_finished)


def test_sigterm_to_the_launcher_stops_the_job(flags, tmp_path):
    process = launcher(flags, tmp_path / "run")
    read_until(process, "reviews to train on")
    process.send_signal(signal.SIGTERM)
    code, output, errors = finish(process)
    assert code == 75, output + errors
    assert "Traceback" not in output
    assert "launcher" not in output


def test_sigterm_to_one_worker_stops_all_at_the_same_step(flags, finished, tmp_path):
    workdir = f"--workdir={tmp_path / 'run'}"
    signalled = ["tests.killed", "SIGTERM", "step", "7", *flags, workdir]
    results = run_workers([["trainer", *flags, workdir], signalled])
    steps = set()
    for code, output, errors in results:
        assert code == 75, output + errors
        steps |= set(re.findall(r"Stopped at step (\d+); the same command resumes", errors))
    (step,) = steps
    # A single process resumes the run of two workers.
    done = subprocess.run(
        [sys.executable, "-m", "trainer", *flags, workdir],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"at step {step}\n" in done.stdout
    for one, other in zip(lines(tmp_path / "run", "train"), lines(finished, "train"), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)


@pytest.mark.slow
def test_two_workers_train_from_shards_in_a_bucket_like_one_process(
    flags, run_config, tmp_path, cloud
):
    sets = f"gs://bucket/{tmp_path.name}/sets"
    config = run_config.copy_and_resolve_references()
    config.data.shard_reviews = 200
    config.train.epochs = 1
    prepare.prepare(config, open_store(sets))
    config.data.source = f"shards:{sets}"
    one, two = tmp_path / "one", tmp_path / "two"
    train.train_and_evaluate(config, open_store(str(one)), Clock(), StopRequests())
    overrides = [f"--config.data.source={config.data.source}", "--config.train.epochs=1"]
    # Both workers share a cache with room for two shards.
    overrides += [
        f"--config.data.cache_dir={tmp_path / 'cache'}",
        "--config.data.cache_bytes=40000",
    ]
    code, output, errors = finish(launcher([*flags, *overrides], two))
    assert code == 0, output + errors
    assert list((tmp_path / "cache" / "shards").iterdir())
    for line, expected in zip(lines(two, "train"), lines(one, "train"), strict=True):
        assert line["loss"] == pytest.approx(expected["loss"], rel=1e-4)


@pytest.mark.slow
def test_job_restarts_when_a_worker_is_frozen(flags, tmp_path):
    process = launcher(flags, tmp_path / "run", "--max_restarts=1")
    read_until(process, r"worker 0\] .*reviews to train on")
    os.kill(worker_pids(process)[1], signal.SIGSTOP)
    read_until(process, r"worker 0\] Another worker is lost or does not answer")
    read_until(process, r"launcher\] workers left with \[75, -9\]")
    code, output, errors = finish(process)
    assert code == 0, output + errors


def test_mistake_in_the_config_stops_the_job_with_one_line(flags, tmp_path):
    code, output, errors = finish(launcher([*flags, "--config.seed=-1"], tmp_path / "run"))
    assert code == 1
    assert (output, len(errors.splitlines())) == ("", 1)
    assert errors.startswith("error: config.seed: got -1")
    process = launcher([*flags, "--config.data.test_split=tset"], tmp_path / "run")
    code, output, errors = finish(process)
    assert code == 1
    assert "error: " in output
    assert "launcher" not in output
    # The last line is the refusal, not that of the other worker, which is stopped.
    assert re.fullmatch(r"error: worker [01]: config\.data\.\w+: .*tset.*\n", errors)


def run_workers(commands):
    """Runs two workers without a launcher, each a module with its flags; returns their results."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{s.getsockname()[1]}" for s in (one, other)]
    processes = []
    for index, command in enumerate(commands):
        task = {"type": "worker", "index": index}
        tf_config = json.dumps({"cluster": {"worker": addresses}, "task": task})
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            env={**os.environ, "TF_CONFIG": tf_config},
            cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        processes.append(process)
    return [finish(process) for process in processes]


@pytest.mark.slow
def test_workdir_that_is_not_shared_is_refused(flags, tmp_path):
    commands = [["trainer", *flags, f"--workdir={tmp_path / n}"] for n in ("chief", "worker")]
    chief, worker = run_workers(commands)
    assert worker[0] == 1
    assert re.search(r"error: --workdir: .*does not see what the chief has written", worker[2])
    assert chief[0] == 75
    assert not (tmp_path / "worker" / "config.json").exists()


def test_workers_with_different_configs_are_refused(flags, tmp_path):
    workdir = f"--workdir={tmp_path / 'run'}"
    commands = [["trainer", *flags, f"--config.seed={n}", workdir] for n in (1, 2)]
    chief, worker = run_workers(commands)
    assert (chief[0], worker[0]) == (1, 1)
    for _, _, errors in (chief, worker):
        assert "error: --config: a worker's config" in errors
    assert not (tmp_path / "run").exists()


def test_strategy_that_does_not_fit_the_cluster_is_refused(flags, tmp_path):
    command = [*flags, "--config.strategy.name=multi_worker", f"--workdir={tmp_path / 'run'}"]
    done = subprocess.run(
        [sys.executable, "-m", "trainer", *command],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "got 'multi_worker', but TF_CONFIG names 1 worker(s)" in done.stderr
