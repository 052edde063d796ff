"""Runs that use the devices of other processes, as they would use a TPU on other machines."""

import socket
import subprocess
import sys

import pytest

from storage.store import open_store
from tests.fakes import tpu_on_other_machines
from tests.trainer.machines.multi_worker_test import finish, read_until
from tests.trainer.main_test import REPOSITORY, command
from tests.trainer.modes.runs import numbers, tensors
from trainer.modes import prepare


@pytest.fixture
def shards_source(run_config, tmp_path):
    """The source that holds the reviews of `finished` as prepared shards."""
    prepare.prepare(run_config, open_store(str(tmp_path / "sets")))
    return f"shards:{tmp_path / 'sets'}"


def start(flags, addresses):
    flags = [*flags, "--config.strategy.name=tpu", f"--config.strategy.tpu={','.join(addresses)}"]
    # Those of `finished`, with which the run is compared; others are chosen for a TPU.
    flags += ["--config.model.kernel=cpu", "--config.train.slices=2"]
    return subprocess.Popen(
        command(*flags, module=("tests.fakes.tpu_on_other_machines",)),
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_run_that_loses_a_machine_ends_with_the_numbers_of_a_local_run(
    flags, finished, shards_source, tmp_path
):
    flags = [*flags, f"--config.data.source={shards_source}", f"--workdir={tmp_path / 'run'}"]
    remote = tmp_path / "remote"
    remote.mkdir()
    with tpu_on_other_machines.serve(remote) as first:
        with tpu_on_other_machines.serve(remote) as second:
            process = start(flags, [first, second])
            read_until(process, "Epoch: 1/2")
        code, output, errors = finish(process)
        assert code == 75, output + errors
        # The message follows from TensorFlow's error or, if that never comes, from the watch.
        assert errors.endswith("run the same command again.\n")
        assert "Traceback" not in errors
    with (
        tpu_on_other_machines.serve(remote) as first,
        tpu_on_other_machines.serve(remote) as second,
    ):
        code, output, errors = finish(start(flags, [first, second]))
    assert code == 0, output + errors
    assert "Resuming" in output
    assert "Traceback" not in errors
    assert numbers(tmp_path / "run") == numbers(finished)
    assert tensors(tmp_path / "run") == tensors(finished)
    assert not list(remote.iterdir())  # the trainer alone reads and writes files


def test_address_without_a_server_is_refused_in_one_line(flags, tmp_path):
    flags = [*flags, "--config.strategy.name=tpu", "--config.strategy.tpu=grpc://127.0.0.1:9"]
    done = subprocess.run(
        [sys.executable, "-m", "trainer", *flags, f"--workdir={tmp_path / 'run'}"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: config.strategy.tpu: got 'grpc://127.0.0.1:9'")


def test_tpu_that_accepts_connections_and_never_answers_ends_the_run_in_time(flags, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"grpc://127.0.0.1:{silent.getsockname()[1]}"
        flags = [*flags, "--config.strategy.name=tpu", f"--config.strategy.tpu={address}"]
        done = subprocess.run(
            [sys.executable, "-m", "trainer", *flags, f"--workdir={tmp_path / 'run'}",
             "--config.strategy.connect_seconds=1"],
            cwd=REPOSITORY, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 75
    assert done.stderr == (
        f"The TPU {address} has not answered within 1 s, config.strategy.connect_seconds; run the "
        "same command again.\n"
    )
