"""The start-up script as one TPU VM runs it: with the trainer, and a gcloud that only records.

The environment is that of the tests, so only the job's archive is installed.
"""

import os
import signal
import sys
import threading

import pytest

from deploy import package
from storage.store import open_store
from tests.deploy.examples import REPOSITORY
from tests.deploy.payload.tpu_machine import Machine, make_tpu_job, run

pytestmark = pytest.mark.usefixtures("project")

SMALL = {
    "data.vocabulary_size": 200,
    "data.max_tokens": 48,
    "model.embedding_size": 8,
    "model.layer_sizes": "8,",
    "train.batch_size": 16,
    "train.epochs": 1,
    "train.steps_per_call": 4,
    "checkpoint.every_steps": 20,
    "checkpoint.keep_last": 3,
}


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path, tmp_path / "remote")


@pytest.mark.slow
def test_killed_and_booted_again_the_job_resumes_and_ends(machine, cloud, reviews, tmp_path):
    machine.environment["LONGHAUL_PYTHON"] = sys.executable
    archive = package.build(REPOSITORY)
    url = package.upload(archive, f"gs://bucket/{tmp_path.name}")
    flags = {**SMALL, "data.source": f"files:{reviews}", "data.cache_dir": ""}
    arguments = [f"--config.{field}={value}" for field, value in flags.items()]
    workdir = f"gs://bucket/{tmp_path.name}/run"
    job = make_tpu_job(workdir, arguments, archive_url=url, digest=archive.digest)

    reached = threading.Event()

    def kill_at_step_40(operation, name):
        if operation == "insert" and "checkpoints/40/" in (name or ""):
            reached.set()
            os.killpg(first.pid, signal.SIGKILL)

    cloud.choose = kill_at_step_40
    first = machine.boot(job)
    try:
        assert first.wait(timeout=120) == -signal.SIGKILL
    finally:
        cloud.choose = None
    assert reached.is_set()
    assert machine.deletions() == []

    assert machine.boot(job).wait(timeout=120) == 0
    log = machine.uploaded(job, "log")
    assert log.count("start 1 of the job") == 2
    assert f"Resuming {workdir} at step 20" in log
    assert machine.uploaded(job, "exit") == "0\n"
    assert [name for name in open_store(workdir).list() if "checkpoints/41/" in name]
    assert machine.deletions() == [
        "compute tpus queued-resources delete imdb --project=some-project --zone=us-west4-a "
        "--force --quiet --async"
    ]


@pytest.mark.parametrize("code", [0, 1, 3])
def test_job_that_is_over_is_not_restarted(machine, code):
    job = make_tpu_job(arguments=("--config.data.dir=$(touch executed) '\"; a",))
    assert run(machine, job, [code]) == code
    given = machine.starts.read_text().split("\0")[:-1]
    assert given == ["bootstrap.py", job.archive_url, job.digest, *job.arguments]
    assert not (machine.folder / "home" / "executed").exists()
    assert machine.uploaded(job, "exit") == f"{code}\n"
    assert "the job was here" in machine.uploaded(job, "log")
    assert len(machine.deletions()) == 1
    assert "NOT DELETED" not in (machine.folder / "home" / "log").read_text()


def test_job_that_was_stopped_from_outside_is_restarted(machine):
    job = make_tpu_job()
    assert run(machine, job, [75, "KILL", 143, 0]) == 0
    assert machine.starts.read_text().count("bootstrap.py") == 4
    assert machine.uploaded(job, "exit") == "0\n"


def test_job_that_is_stopped_too_often_ends(machine):
    assert run(machine, make_tpu_job(), [75] * 60) == 75
    assert machine.starts.read_text().count("bootstrap.py") == 50
    assert len(machine.deletions()) == 1


def test_time_counts_from_the_first_boot(machine):
    home = machine.folder / "home"
    home.mkdir()
    (home / "began").write_text("1000\n")
    job = make_tpu_job()
    assert run(machine, job, [0]) == 124
    assert not machine.starts.exists()
    assert machine.uploaded(job, "exit") == "124\n"
    assert len(machine.deletions()) == 1


def test_boot_after_the_end_only_deletes(machine):
    job = make_tpu_job()
    run(machine, job, [1])
    assert run(machine, job, [0]) == 0
    assert machine.starts.read_text().count("bootstrap.py") == 1
    assert machine.uploaded(job, "exit") == "1\n"
    assert len(machine.deletions()) == 2


def test_machine_that_replaces_another_continues_its_log(machine):
    job = make_tpu_job()
    run(machine, job, [75, 0])
    (machine.folder / "home").rename(machine.folder / "taken-away")
    run(machine, job, [0])
    assert machine.uploaded(job, "log").count("the job was here") == 3


def test_failed_calls_of_gcloud_are_retried(machine):
    machine.failures.write_text("1\n2\n3\n")
    job = make_tpu_job()
    assert run(machine, job, [0]) == 0
    assert machine.uploaded(job, "exit") == "0\n"
    assert len(machine.deletions()) == 1


def test_failed_installation_ends_the_job_and_leaves_a_log(machine):
    machine.add_program("python3", "#!/bin/bash\necho 'no venv here'\nexit 9\n")
    machine.add_program("apt-get", "#!/bin/bash\necho 'no packages here'\nexit 100\n")
    del machine.environment["LONGHAUL_PYTHON"]
    job = make_tpu_job()
    assert run(machine, job, []) == 100
    log = machine.uploaded(job, "log")
    assert "no venv here" in log
    assert "no packages here" in log
    assert machine.uploaded(job, "exit") == "100\n"
    assert len(machine.deletions()) == 1


def test_machine_that_is_taken_away_is_not_deleted_and_stops_its_job(machine):
    job = make_tpu_job()
    machine.codes.write_text("HANG\n0\n")
    process = machine.boot(job)
    assert machine.ready.read_text() == "ready\n"
    process.terminate()
    assert process.wait(timeout=60) == 75
    assert machine.deletions() == []
    assert "asked to stop" in machine.uploaded(job, "log")
    assert machine.boot(job).wait(timeout=60) == 0
    assert len(machine.deletions()) == 1


def test_exit_code_of_an_earlier_job_of_the_same_name_is_deleted(machine):
    job = make_tpu_job()
    run(machine, job, [1])
    (machine.folder / "home").rename(machine.folder / "earlier")
    assert run(machine, job, [0]) == 0
    assert machine.uploaded(job, "exit") == "0\n"
