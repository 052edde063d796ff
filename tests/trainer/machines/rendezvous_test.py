"""Workers that wait for each other, as processes without TensorFlow."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from storage.errors import UserError
from trainer.machines import cluster, rendezvous

# Waits for the workers of TF_CONFIG, up to the seconds given, as the trainer does.
WAIT = """
import sys
from trainer.machines import cluster, rendezvous
from trainer.machines.preemption import StopRequests
rendezvous._NOTICE_AFTER_SECONDS = rendezvous._SECONDS_BETWEEN_NOTICES = 0.2
try:
    with StopRequests():
        rendezvous.wait_for_all(cluster.from_environment(), float(sys.argv[1]))
except KeyboardInterrupt as stopped:
    print(stopped, file=sys.stderr)
    sys.exit(75)
"""


@pytest.fixture
def addresses():
    """Returns the addresses of three workers."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(3)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]


def tf_config(addresses, rank):
    task = {"type": "worker", "index": rank}
    return json.dumps({"cluster": {"worker": addresses}, "task": task})


@contextlib.contextmanager
def workers(addresses, *ranks, seconds=60):
    """Starts workers, and ends those that are left."""
    with contextlib.ExitStack() as stack:
        started = []
        for rank in ranks:
            process = subprocess.Popen(
                [sys.executable, "-c", WAIT, str(seconds)],
                env={**os.environ, "TF_CONFIG": tf_config(addresses, rank)},
                stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            started.append(stack.enter_context(process))
            stack.callback(process.kill)
        yield started


def await_notice(process, missing):
    """Reads errors up to the line that names exactly these addresses."""
    line = f"Waiting for {len(missing)} of 3 workers: {', '.join(missing)}\n"
    assert line in iter(process.stderr.readline, "")


def test_workers_go_on_when_all_have_come_in_any_order(addresses):
    with workers(addresses, 2) as (last,):
        await_notice(last, addresses[:1])
        with workers(addresses, 0) as (chief,):
            await_notice(last, addresses[1:2])
            with workers(addresses, 1) as (other,):
                assert [process.wait(60) for process in (last, chief, other)] == [0, 0, 0]


@pytest.mark.parametrize("rank", [0, 1])
def test_waiting_worker_names_the_missing_one_and_hears_a_signal(addresses, rank):
    with workers(addresses, 0, 1) as processes:
        for process in processes:
            await_notice(process, addresses[2:])
        processes[rank].send_signal(signal.SIGTERM)
        assert processes[rank].wait(60) == 75
        assert processes[rank].stderr.read().endswith("Stopped; run the same command again.\n")
        other = processes[1 - rank]
        assert other.wait(60) == 75
        assert f"The worker at {addresses[rank]} has left before" in other.stderr.read()


@pytest.mark.parametrize(("rank", "missing"), [(0, [1, 2]), (1, [0])])
def test_wait_has_an_end(addresses, rank, missing):
    with workers(addresses, rank, seconds=1) as (process,):
        _, errors = process.communicate(timeout=60)
    names = ", ".join(addresses[number] for number in missing)
    assert process.returncode == 75
    assert errors.splitlines()[-1] == (
        f"No answer from {names} within 1 s, config.strategy.connect_seconds; run the same "
        "command again."
    )


def test_chief_is_not_misled_by_other_connections(addresses):
    with workers(addresses, 0) as (chief,):
        await_notice(chief, addresses[1:])
        host, port = addresses[0].split(":")
        for data in (b"", b"GET / HTTP/1.1\r\n\r\n", b"7\n"):
            with socket.create_connection((host, int(port))) as connection:
                connection.sendall(data)
        with workers(addresses, 1, 2) as others:
            for process in (chief, *others):
                assert process.wait(60) == 0


def test_address_that_is_taken_is_refused(addresses):
    host, port = addresses[1].split(":")
    here = cluster.parse(tf_config(addresses, 1))
    with socket.create_server((host, int(port))), pytest.raises(UserError, match=addresses[1]):
        rendezvous.wait_for_all(here, seconds=1)
