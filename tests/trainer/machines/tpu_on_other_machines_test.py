"""Runs whose devices are those of other processes, as a TPU's machines are."""

import subprocess
import sys

import pytest

from storage.store import open_store
from tests.fakes import tpu_on_other_machines
from tests.trainer.machines.multi_worker_test import finish, read_until
from tests.trainer.main_test import REPOSITORY, command
from tests.trainer.modes.train_test import numbers, tensors
from trainer.modes import prepare


@pytest.fixture
def sets(run_config, tmp_path):
    """The reviews of the tests' run, prepared, as a source."""
    prepare.prepare(run_config, open_store(str(tmp_path / "sets")))
    return f"shards:{tmp_path / 'sets'}"


def start(flags, addresses):
    flags = [*flags, "--config.strategy.name=tpu", f"--config.strategy.tpu={','.join(addresses)}"]
    # Keras's layers, as in the run that is compared: a TPU would be given others.
    flags += ["--config.model.kernel=keras"]
    return subprocess.Popen(
        command(*flags, module=("tests.fakes.tpu_on_other_machines",)),
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_run_outlives_a_machine_and_ends_as_if_all_had_been_here(flags, finished, sets, tmp_path):
    flags = [*flags, f"--config.data.source={sets}", f"--workdir={tmp_path / 'run'}"]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with tpu_on_other_machines.serve(elsewhere) as first:
        with tpu_on_other_machines.serve(elsewhere) as second:
            process = start(flags, [first, second])
            read_until(process, "Epoch: 1/2")
        code, output, errors = finish(process)
        assert code == 75, output + errors
        # Said by TensorFlow's error, or, where that never comes, by the watch.
        assert errors.endswith("run the same command again.\n")
        assert "Traceback" not in errors
    with (
        tpu_on_other_machines.serve(elsewhere) as first,
        tpu_on_other_machines.serve(elsewhere) as second,
    ):
        code, output, errors = finish(start(flags, [first, second]))
    assert code == 0, output + errors
    assert "Resuming" in output
    assert "Traceback" not in errors
    assert numbers(tmp_path / "run") == numbers(finished)
    assert tensors(tmp_path / "run") == tensors(finished)
    assert not list(elsewhere.iterdir())  # files are read and written here


def test_address_where_nothing_is_is_refused_in_one_line(flags, tmp_path):
    flags = [*flags, "--config.strategy.name=tpu", "--config.strategy.tpu=grpc://127.0.0.1:9"]
    done = subprocess.run(
        [sys.executable, "-m", "trainer", *flags, f"--workdir={tmp_path / 'run'}"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: config.strategy.tpu: got 'grpc://127.0.0.1:9'")
