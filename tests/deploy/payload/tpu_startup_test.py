"""The start-up script as a TPU VM runs it: with its trainer, and a gcloud that only notes.

The environment is this one, so that nothing is installed but the job's archive.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from configs import sample
from deploy import package
from deploy.job import Job
from deploy.targets.tpu_vm import target as tpu_vm
from storage.store import open_store

ROOT = Path(__file__).parents[3]
GCLOUD = r"""#!/bin/bash
# Copies to and from $REMOTE, and notes what else it is told. Fails as often as $FAILURES says.
echo "$*" >>"$CALLS"
if [[ -s ${FAILURES:-} ]]; then
  sed -i 1d "$FAILURES"
  exit 1
fi
if [[ $1 == storage && $2 == rm ]]; then
  rm "${4/#gs:\/\//$REMOTE/}"
elif [[ $1 == storage ]]; then
  from=${*: -2:1} to=${*: -1}
  from=${from/#gs:\/\//$REMOTE/} to=${to/#gs:\/\//$REMOTE/}
  [[ " $* " == *" --no-clobber "* && -e $to ]] && exit
  [[ $to == */* ]] && mkdir -p "${to%/*}"
  cp "$from" "$to"
fi
"""
# The metadata server's answers are files.
CURL = r"""#!/bin/bash
url=${*: -1}
exec cat "$METADATA_FOLDER/${url##*/}"
"""
# In place of Python, where no training is needed: leaves with the codes that $CODES lists.
STAND_IN = r"""#!/bin/bash
if [[ $1 == -m ]]; then
  echo "server $2 ${TPU_LOAD_LIBRARY:-}" >>"$ORDER"
  exec "$PYTHON" -c "$SERVE" "$ADDRESS" "$LONGHAUL_PORT"
fi
echo "job ${TPU_LOAD_LIBRARY:-}" >>"$ORDER"
printf '%s\0' "$@" >>"$STARTS"
echo "the job was here"
code=$(sed -n 1p "$CODES")
sed -i 1d "$CODES"
[[ $code == KILL ]] && kill -KILL $$
[[ $code == HANG ]] && { echo ready >"$READY"; read -r <"$READY"; }
exit "$code"
"""
SERVE = """
import socket, sys
with socket.create_server((sys.argv[1], int(sys.argv[2]))) as server:
    while True:
        server.accept()[0].close()
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

    def __init__(self, folder, remote, options=None):
        self.folder = folder
        self.options = {"zone": "us-west4-a", **(options or {})}
        self.remote = remote
        self.order = folder / "order"
        self.calls = folder / "calls"
        self.codes = folder / "codes"
        self.starts = folder / "starts"
        self.failures = folder / "failures"
        self.ready = folder / "ready"
        os.mkfifo(self.ready)
        self._program("gcloud", GCLOUD)
        self._program("curl", CURL)
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
            "ORDER": str(self.order),
            "PYTHON": sys.executable,
            "SERVE": SERVE,
            "METADATA_FOLDER": str(folder / "metadata"),
        }

    def _program(self, name, text):
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def boot(self, job):
        """The script's process, in a group of its own."""
        script = self.folder / "startup.sh"
        script.write_text(tpu_vm.startup_script(job, tpu_vm.Options(**self.options)))
        return subprocess.Popen(["bash", script], env=self.environment, start_new_session=True)

    def be_of_a_slice(self, number, endpoints, port):
        """What the metadata server says, and where this machine's server is to listen."""
        metadata = self.folder / "metadata"
        metadata.mkdir()
        (metadata / "agent-worker-number").write_text(str(number))
        (metadata / "worker-network-endpoints").write_text(endpoints)
        self.environment["LONGHAUL_PORT"] = str(port)
        self.environment["ADDRESS"] = endpoints.split(",")[number].split(":")[-1]

    def uploaded(self, job, end):
        path = self.remote / job.workdir.removeprefix("gs://") / "logs" / f"imdb.{end}"
        return path.read_text()

    def deletions(self):
        lines = self.calls.read_text().splitlines()
        return [line for line in lines if "queued-resources delete" in line]


@pytest.fixture(autouse=True)
def project(monkeypatch):
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "some-project")


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path, tmp_path / "remote")


@pytest.fixture
def slice_of_two(tmp_path):
    """Two machines, at addresses of the loopback, that know of each other."""
    with socket.socket() as free:
        free.bind(("127.0.0.2", 0))
        port = free.getsockname()[1]
    machines = []
    for number in range(2):
        folder = tmp_path / f"machine-{number}"
        folder.mkdir()
        of_a_slice = {"accelerator_type": "v5litepod-16"}
        machines.append(Machine(folder, tmp_path / "remote", of_a_slice))
        machines[-1].be_of_a_slice(number, "worker:8470:127.0.0.2,worker:8470:127.0.0.3", port)
    machines[1].order = machines[0].order
    machines[1].environment["ORDER"] = str(machines[0].order)
    return machines


@pytest.fixture
def booted():
    """Processes that are gone with the test, and all that they have started."""
    processes = []
    yield processes.append
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


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
    assert "NOT DELETED" not in (machine.folder / "home" / "log").read_text()


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


def test_slice_runs_the_job_on_its_first_machine_once_all_serve(slice_of_two, booted):
    first, second = slice_of_two
    job = make_job()
    first.codes.write_text("75\n0\n")
    booted(one := first.boot(job))
    booted(two := second.boot(job))
    assert one.wait(timeout=60) == 0

    addresses = [
        f"{m.environment['ADDRESS']}:{m.environment['LONGHAUL_PORT']}" for m in slice_of_two
    ]
    tpu = [
        "--config.strategy.name=tpu",
        f"--config.strategy.tpu=grpc://{',grpc://'.join(addresses)}",
    ]
    started = ["bootstrap.py", job.archive_url, job.digest, *job.arguments, *tpu]
    assert first.starts.read_text().split("\0")[:-1] == started * 2
    assert not second.starts.exists()
    server = "server tensorflow.python.tools.grpc_tpu_worker "  # which has the chips
    assert first.order.read_text().splitlines() == [server, server, "job 0", "job 0"]
    assert first.uploaded(job, "exit") == "0\n"
    assert len(first.deletions()) == 1

    two.terminate()  # as a machine that is deleted is told
    assert two.wait(timeout=60) == 75
    host, port = addresses[1].split(":")
    socket.create_connection((host, int(port))).close()  # the first may need it to its end
    assert "machine 1 of 2" in second.uploaded(job, "1.log")
    assert second.deletions() == []


def test_machine_of_a_slice_sees_to_the_end_when_the_first_has_not(slice_of_two, booted):
    job = make_job()
    for machine in slice_of_two:
        (machine.folder / "home").mkdir()
        (machine.folder / "home" / "began").write_text("1000\n")
    booted(second := slice_of_two[1].boot(job))
    assert second.wait(timeout=60) == 124
    assert slice_of_two[1].uploaded(job, "exit") == "124\n"
    assert len(slice_of_two[1].deletions()) == 1


def test_slice_whose_servers_do_not_come_is_given_up(slice_of_two, booted):
    first, job = slice_of_two[0], make_job()
    first.environment["LONGHAUL_PATIENCE"] = "1"
    booted(process := first.boot(job))
    assert process.wait(timeout=60) == 69
    log = first.uploaded(job, "log")
    assert "waiting for the server at 127.0.0.3:" in log
    assert "see its log, and the network's firewall" in log
    assert not first.starts.exists()
    assert len(first.deletions()) == 1


def test_how_an_earlier_job_of_the_name_ended_is_forgotten(machine):
    job = make_job()
    run(machine, job, [1])
    (machine.folder / "home").rename(machine.folder / "earlier")
    assert run(machine, job, [0]) == 0
    assert machine.uploaded(job, "exit") == "0\n"


def test_first_word_on_how_a_job_ended_stays(slice_of_two, booted):
    job = make_job()
    first, second = slice_of_two
    exit_code = first.remote / job.workdir.removeprefix("gs://") / "logs" / "imdb.exit"
    exit_code.parent.mkdir(parents=True)
    exit_code.write_text("0\n")
    (second.folder / "home").mkdir()
    (second.folder / "home" / "began").write_text("1000\n")
    booted(process := second.boot(job))
    assert process.wait(timeout=60) == 124
    assert exit_code.read_text() == "0\n"


@pytest.mark.parametrize("endpoints", ["", "a:b:10.0.0.1;touch x", "a:b:$(touch x)", "10.0.0.1"])
def test_slice_that_says_something_else_is_deleted(slice_of_two, booted, endpoints):
    job, machine = make_job(), slice_of_two[0]
    (machine.folder / "metadata" / "worker-network-endpoints").write_text(endpoints)
    booted(process := machine.boot(job))
    assert process.wait(timeout=60) == 1
    assert "not what a slice is known to say" in machine.uploaded(job, "unknown.log")
    assert len(machine.deletions()) == 1
    assert not (machine.folder / "home" / "x").exists()
