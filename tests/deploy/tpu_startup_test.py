"""The start-up script as a TPU VM runs it: with its trainer, and a gcloud that only notes.

The environment is this one, so that nothing is installed but the job's archive.
"""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from configs import sample
from deploy import package, tpu_vm
from deploy.job import Job
from storage.store import open_store

ROOT = Path(__file__).parents[2]
GCLOUD = r"""#!/bin/bash
# Copies to and from $REMOTE, and notes what else it is told. Fails as often as $FAILURES says.
echo "$*" >>"$CALLS"
if [[ -s ${FAILURES:-} ]]; then
  sed -i 1d "$FAILURES"
  exit 1
fi
if [[ $1 == storage ]]; then
  from=${*: -2:1} to=${*: -1}
  from=${from/#gs:\/\//$REMOTE/} to=${to/#gs:\/\//$REMOTE/}
  mkdir -p "${to%/*}"
  cp "$from" "$to"
fi
"""
# In place of Python, where no training is needed: leaves with the codes that $CODES lists.
STAND_IN = r"""#!/bin/bash
printf '%s\0' "$@" >>"$STARTS"
echo "the job was here"
code=$(sed -n 1p "$CODES")
sed -i 1d "$CODES"
[[ $code == KILL ]] && kill -KILL $$
[[ $code == HANG ]] && { echo ready >"$READY"; read -r <"$READY"; }
exit "$code"
"""
SMALL = {
    "data.vocabulary_size": 200,
    "data.max_tokens": 48,
    "model.embedding_size": 8,
    "model.layer_sizes": "8,4",
    "train.batch_size": 16,
    "train.epochs": 1,
    "train.steps_per_call": 4,
    "checkpoint.every_steps": 20,
    "checkpoint.keep_last": 3,
}


class Machine:
    """A folder with what a TPU VM has."""

    def __init__(self, folder, monkeypatch):
        self.folder = folder
        self.remote = folder / "remote"
        self.calls = folder / "calls"
        self.codes = folder / "codes"
        self.starts = folder / "starts"
        self.failures = folder / "failures"
        self.ready = folder / "ready"
        os.mkfifo(self.ready)
        self._program("gcloud", GCLOUD)
        self.environment = {
            **os.environ,
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "LONGHAUL_HOME": str(folder / "home"),
            "LONGHAUL_PAUSE": "0",
            "LONGHAUL_PYTHON": str(self._program("stand-in", STAND_IN)),
            "REMOTE": str(self.remote),
            "CALLS": str(self.calls),
            "CODES": str(self.codes),
            "STARTS": str(self.starts),
            "FAILURES": str(self.failures),
            "READY": str(self.ready),
        }
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "some-project")

    def _program(self, name, text):
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def boot(self, job):
        """The script's process, in a group of its own."""
        script = self.folder / "startup.sh"
        script.write_text(tpu_vm.startup_script(job, tpu_vm.Options(zone="us-west4-a")))
        return subprocess.Popen(["bash", script], env=self.environment, start_new_session=True)

    def uploaded(self, job, end):
        path = self.remote / job.workdir.removeprefix("gs://") / "logs" / f"imdb.{end}"
        return path.read_text()

    def deletions(self):
        lines = self.calls.read_text().splitlines()
        return [line for line in lines if "queued-resources delete" in line]


@pytest.fixture
def machine(tmp_path, monkeypatch):
    return Machine(tmp_path, monkeypatch)


def make_job(workdir="gs://bucket/runs/imdb", arguments=(), url="gs://bucket/a.tar.gz", digest="0"):
    arguments = ("--config=configs/sample.py", *arguments, f"--workdir={workdir}")
    return Job("imdb", arguments, workdir, url, digest, sample.get_config())


def run(machine, job, codes):
    machine.codes.write_text("".join(f"{code}\n" for code in codes))
    return machine.boot(job).wait(timeout=60)


def test_killed_and_booted_again_the_job_resumes_and_ends(machine, cloud, reviews, tmp_path):
    machine.environment["LONGHAUL_PYTHON"] = sys.executable
    archive = package.build(ROOT, None)
    url = package.upload(archive, f"gs://bucket/{tmp_path.name}")
    flags = {**SMALL, "data.source": f"files:{reviews}", "data.cache_dir": ""}
    arguments = [f"--config.{field}={value}" for field, value in flags.items()]
    workdir = f"gs://bucket/{tmp_path.name}/run"
    job = make_job(workdir, arguments, url, archive.digest)

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
def test_job_that_is_over_is_not_run_again(machine, code):
    job = make_job(arguments=("--config.data.dir=$(touch executed) '\"; a",))
    assert run(machine, job, [code]) == code
    given = machine.starts.read_text().split("\0")[:-1]
    assert given == ["bootstrap.py", job.archive_url, job.digest, *job.arguments]
    assert not (machine.folder / "home" / "executed").exists()
    assert machine.uploaded(job, "exit") == f"{code}\n"
    assert "the job was here" in machine.uploaded(job, "log")
    assert len(machine.deletions()) == 1


def test_job_that_was_stopped_from_outside_is_run_again(machine):
    job = make_job()
    assert run(machine, job, [75, "KILL", 143, 0]) == 0
    assert machine.starts.read_text().count("bootstrap.py") == 4
    assert machine.uploaded(job, "exit") == "0\n"


def test_job_that_never_stays_is_given_up(machine):
    assert run(machine, make_job(), [75] * 60) == 75
    assert machine.starts.read_text().count("bootstrap.py") == 50
    assert len(machine.deletions()) == 1


def test_time_counts_from_the_first_boot(machine):
    home = machine.folder / "home"
    home.mkdir()
    (home / "began").write_text("1000\n")
    job = make_job()
    assert run(machine, job, [0]) == 124
    assert not machine.starts.exists()
    assert machine.uploaded(job, "exit") == "124\n"
    assert len(machine.deletions()) == 1


def test_boot_after_the_end_only_deletes(machine):
    job = make_job()
    run(machine, job, [1])
    assert run(machine, job, [0]) == 0
    assert machine.starts.read_text().count("bootstrap.py") == 1
    assert machine.uploaded(job, "exit") == "1\n"
    assert len(machine.deletions()) == 2


def test_machine_made_anew_goes_on_with_the_log(machine):
    job = make_job()
    run(machine, job, [75, 0])
    (machine.folder / "home").rename(machine.folder / "taken-away")
    run(machine, job, [0])
    assert machine.uploaded(job, "log").count("the job was here") == 3


def test_gcloud_that_fails_for_a_moment_is_asked_again(machine):
    machine.failures.write_text("1\n2\n3\n")
    job = make_job()
    assert run(machine, job, [0]) == 0
    assert machine.uploaded(job, "exit") == "0\n"
    assert len(machine.deletions()) == 1


def test_installation_that_fails_is_the_end_and_leaves_a_log(machine):
    machine._program("python3", "#!/bin/bash\necho 'no venv here'\nexit 9\n")
    machine._program("apt-get", "#!/bin/bash\necho 'no packages here'\nexit 100\n")
    del machine.environment["LONGHAUL_PYTHON"]
    job = make_job()
    assert run(machine, job, []) == 100
    log = machine.uploaded(job, "log")
    assert "no venv here" in log
    assert "no packages here" in log
    assert machine.uploaded(job, "exit") == "100\n"
    assert len(machine.deletions()) == 1


def test_machine_that_is_taken_away_is_not_deleted_and_its_job_hears_of_it(machine):
    job = make_job()
    machine.codes.write_text("HANG\n0\n")
    process = machine.boot(job)
    assert machine.ready.read_text() == "ready\n"
    process.terminate()
    assert process.wait(timeout=60) == 75
    assert machine.deletions() == []
    assert "asked to leave" in machine.uploaded(job, "log")
    assert machine.boot(job).wait(timeout=60) == 0
    assert len(machine.deletions()) == 1
