"""The start-up script as one TPU VM runs it, with real curl and services on this machine.

The environment is that of the tests, so only the job's archive is installed.
"""

import os
import shutil
import signal
import sys
import threading
from pathlib import Path

import pytest

from deploy import package
from storage.store import open_store
from tests.deploy.examples import REPOSITORY
from tests.deploy.payload.tpu_machine import (
    GCLOUD,
    RESOURCE,
    TOKEN,
    Machine,
    make_tpu_job,
    run,
)
from tests.fakes.gcs_faults import Fault

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
def machine(tmp_path, google):
    return Machine(tmp_path, google)


@pytest.mark.slow
def test_killed_and_booted_again_the_job_resumes_and_ends(machine, cloud, reviews, tmp_path):
    # This machine has no TPU, so the trainer must not be told to look for its chips.
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/bash\nfor argument; do [[ $argument == --config.strategy.accelerators=* ]] || "
        f'kept+=("$argument"); done\nexec {sys.executable} "${{kept[@]}}"\n'
    )
    python.chmod(0o755)
    machine.environment["LONGHAUL_PYTHON"] = str(python)
    machine.environment["LONGHAUL_STORAGE"] = cloud.url
    machine.google.bucket = cloud
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
    assert machine.google.deletions == []

    assert machine.boot(job).wait(timeout=120) == 0
    log = machine.uploaded(job, "log")
    assert log.count("start 1 of the job") == 2
    assert f"Resuming {workdir} at step 20" in log
    assert machine.uploaded(job, "exit") == "0\n"
    assert [name for name in open_store(workdir).list() if "checkpoints/41/" in name]
    assert machine.google.deletions == [RESOURCE]


@pytest.mark.parametrize("code", [0, 1, 3])
def test_job_that_is_over_is_not_restarted(machine, code):
    job = make_tpu_job(arguments=("--config.data.dir=$(touch executed) '\"; a",))
    assert run(machine, job, [code]) == code
    given = machine.starts.read_text().split("\0")[:-1]
    chips = "--config.strategy.accelerators=4"  # that the job must find
    assert given == ["bootstrap.py", job.archive_url, job.digest, *job.arguments, chips]
    assert not (machine.folder / "home" / "executed").exists()
    assert machine.uploaded(job, "exit") == f"{code}\n"
    assert "the job was here" in machine.uploaded(job, "log")
    assert len(machine.google.deletions) == 1
    assert "NOT DELETED" not in (machine.folder / "home" / "log").read_text()


def test_job_that_was_stopped_from_outside_is_restarted(machine):
    job = make_tpu_job()
    assert run(machine, job, [75, "KILL", 143, 0]) == 0
    assert machine.starts.read_text().count("bootstrap.py") == 4
    assert machine.uploaded(job, "exit") == "0\n"


def test_job_that_is_stopped_too_often_ends(machine):
    assert run(machine, make_tpu_job(), [75] * 60) == 75
    assert machine.starts.read_text().count("bootstrap.py") == 50
    assert len(machine.google.deletions) == 1


def test_job_that_crashes_three_times_ends(machine):
    # As TensorFlow does when libtpu finds no TPU; a code of 75 counts as no crash.
    assert run(machine, make_tpu_job(), [139, 75, 134, 139, 0]) == 139
    assert machine.starts.read_text().count("bootstrap.py") == 4
    assert len(machine.google.deletions) == 1


def test_time_counts_from_the_first_boot(machine):
    home = machine.folder / "home"
    home.mkdir()
    (home / "began").write_text("1000\n")
    job = make_tpu_job()
    assert run(machine, job, [0]) == 124
    assert not machine.starts.exists()
    assert machine.uploaded(job, "exit") == "124\n"
    assert len(machine.google.deletions) == 1


def test_boot_after_the_end_only_deletes(machine):
    job = make_tpu_job()
    run(machine, job, [1])
    assert run(machine, job, [0]) == 0
    assert machine.starts.read_text().count("bootstrap.py") == 1
    assert machine.uploaded(job, "exit") == "1\n"
    assert len(machine.google.deletions) == 2


def test_machine_that_replaces_another_continues_its_log(machine):
    job = make_tpu_job()
    run(machine, job, [75, 0])
    (machine.folder / "home").rename(machine.folder / "taken-away")
    run(machine, job, [0])
    assert machine.uploaded(job, "log").count("the job was here") == 3


def test_failed_calls_are_retried(machine):
    fault = machine.google.bucket.inject(Fault("503", "insert", name=r"imdb\.exit$", times=3))
    machine.google.refusals = 3
    job = make_tpu_job()
    assert run(machine, job, [0]) == 0
    assert fault.hits == 3
    assert machine.uploaded(job, "exit") == "0\n"
    assert len(machine.google.deletions) == 1


def test_failed_installation_ends_the_job_and_leaves_a_log(machine):
    machine.add_program("python3", "#!/bin/bash\necho 'no venv here'\nexit 9\n")
    machine.add_program("apt-get", "#!/bin/bash\necho 'no packages here'\nexit 100\n")
    del machine.environment["LONGHAUL_PYTHON"]
    machine.environment["LONGHAUL_PATIENCE"] = "0"
    job = make_tpu_job()
    assert run(machine, job, []) == 100
    log = machine.uploaded(job, "log")
    assert "no venv here" in log
    assert "no packages here" in log
    assert machine.uploaded(job, "exit") == "100\n"
    assert len(machine.google.deletions) == 1


def test_machine_that_is_taken_away_is_not_deleted_and_stops_its_job(machine):
    job = make_tpu_job()
    machine.codes.write_text("HANG\n0\n")
    process = machine.boot(job)
    assert machine.ready.read_text() == "ready\n"
    process.terminate()
    assert process.wait(timeout=60) == 75
    assert machine.google.deletions == []
    assert "asked to stop" in machine.uploaded(job, "log")
    assert machine.boot(job).wait(timeout=60) == 0
    assert len(machine.google.deletions) == 1


def test_exit_code_of_an_earlier_job_of_the_same_name_is_deleted(machine):
    job = make_tpu_job()
    run(machine, job, [1])
    (machine.folder / "home").rename(machine.folder / "earlier")
    assert run(machine, job, [0]) == 0
    assert machine.uploaded(job, "exit") == "0\n"


def test_job_reaches_the_chips_through_the_library_of_pip(machine):
    run(machine, make_tpu_job(), [0])
    assert machine.order.read_text() == "job true /packages/libtpu/libtpu.so \n"


def test_deletion_that_is_refused_is_left_to_gcloud(machine):
    machine.google.refusals = 1
    machine.add_program("gcloud", GCLOUD)
    assert run(machine, make_tpu_job(), [0]) == 0
    assert machine.google.deletions == []
    assert machine.calls.read_text() == (
        "compute tpus queued-resources delete imdb --project=some-project --zone=us-west4-a "
        "--force --quiet --async\n"
    )


def test_machine_that_nothing_deletes_says_that_it_costs_and_goes_on_trying(machine):
    machine.google.refusals = 7
    job = make_tpu_job()
    assert run(machine, job, [1]) == 1
    assert len(machine.google.deletions) == 1
    assert machine.uploaded(job, "log").count("NOT DELETED, still paid for") == 1


@pytest.mark.parametrize("answer", ["", '{"error": "no account"}'])
def test_machine_without_a_token_is_deleted_by_gcloud(machine, answer):
    machine.google.metadata["service-accounts/default/token"] = answer
    machine.add_program("gcloud", GCLOUD)
    assert run(machine, make_tpu_job(), [0]) == 0
    assert machine.calls.read_text().startswith("compute tpus queued-resources delete imdb ")
    assert "does the machine have a service account?" in machine.console.read_text()


def test_machine_whose_disk_can_not_be_written_is_deleted_with_its_exit_code(machine, tmp_path):
    (tmp_path / "file").touch()
    machine.environment["LONGHAUL_HOME"] = str(tmp_path / "file" / "home")
    job = make_tpu_job()
    assert run(machine, job, [0]) == 1
    assert machine.uploaded(job, "exit") == "1\n"
    assert machine.google.deletions == [RESOURCE]


def test_exit_code_on_a_full_disk_is_kept(machine):
    # A link to a device whose writes fail as on a full disk.
    home = Path(machine.environment["LONGHAUL_HOME"])
    home.mkdir()
    (home / "exit").symlink_to("/dev/full")
    job = make_tpu_job()
    assert run(machine, job, [0]) == 0
    assert machine.uploaded(job, "exit") == "0\n"
    assert machine.google.deletions == [RESOURCE]


def test_exit_code_is_written_before_the_machine_is_deleted(machine):
    written = []
    machine.google.on_deletion = lambda: written.append(machine.uploaded(make_tpu_job(), "exit"))
    run(machine, make_tpu_job(), [3])
    assert written == ["3\n"]


def test_token_is_neither_on_a_command_line_nor_in_the_log(machine):
    machine.add_program(
        "curl", f'#!/bin/bash\necho "$*" >>"$CALLS"\nexec {shutil.which("curl")} "$@"\n'
    )
    job = make_tpu_job()
    assert run(machine, job, [1]) == 1
    assert RESOURCE in machine.calls.read_text()
    seen = [machine.calls.read_text(), machine.console.read_text(), machine.uploaded(job, "log")]
    assert not [text for text in seen if TOKEN in text]


def test_serial_console_shows_what_the_script_does_and_not_what_the_job_prints(machine):
    run(machine, make_tpu_job(), [1])
    lines = machine.console.read_text().splitlines()
    assert [line.partition("] ")[2] for line in lines] == [
        "start 1 of the job",
        "the job left with exit code 1",
        "over with exit code 1",
        "deleting imdb",
    ]


def test_console_that_can_not_be_written_is_no_obstacle(machine):
    machine.environment["LONGHAUL_CONSOLE"] = str(machine.folder / "none" / "console")
    assert run(machine, make_tpu_job(), [0]) == 0


def test_workdir_with_unusual_characters_has_its_log(machine):
    job = make_tpu_job("gs://bucket/runs/a+b=c@d_e-f/imdb")
    run(machine, job, [0])
    assert "the job was here" in machine.uploaded(job, "log")


def keep(machine, job):
    """Runs a job that fails on a machine that is to be kept; returns the seconds it slept."""
    machine.options["keep_on_failure"] = 2
    sleeps = machine.folder / "sleeps"
    # The log is uploaded every 60 seconds.
    real = f"[[ $1 == 60 ]] && exec {shutil.which('sleep')} 60\n"
    machine.add_program("sleep", f'#!/bin/bash\n{real}echo "$1" >>"{sleeps}"\n')
    run(machine, job, [1])
    return [int(line) for line in sleeps.read_text().splitlines()]


def test_machine_of_a_failed_job_is_kept_and_then_deleted(machine):
    job, seen = make_tpu_job(), []

    def look():
        seen.append((machine.uploaded(job, "log"), machine.uploaded(job, "exit")))

    machine.google.on_deletion = look
    (seconds,) = keep(machine, job)
    assert 7100 < seconds <= 7200
    ((log, exit_code),) = seen
    assert "tpu-vm ssh imdb --zone=us-west4-a --project=some-project" in log
    assert exit_code == "1\n"


def test_boot_of_a_machine_that_is_kept_does_not_prolong_its_time(machine):
    home = machine.folder / "home"
    home.mkdir()
    (home / "began").write_text("1000\n")
    (home / "exit").write_text("1\n")
    (home / "keep_until").write_text("2000\n")
    assert keep(machine, make_tpu_job()) == [0]
    assert len(machine.google.deletions) == 1


@pytest.mark.parametrize("code", [0, 124])
def test_machine_of_a_job_that_did_not_fail_is_not_kept(machine, code):
    machine.options["keep_on_failure"] = 2
    home = machine.folder / "home"
    home.mkdir()
    (home / "began").write_text("1000\n")
    (home / "exit").write_text(f"{code}\n")
    run(machine, make_tpu_job(), [])
    assert "kept for" not in machine.console.read_text()
    assert len(machine.google.deletions) == 1
