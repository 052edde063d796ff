"""The launcher of a worker on Vertex AI, as a process of this machine."""

import os
import re
import signal
import subprocess
import sys

import pytest

from tests.deploy.examples import REPOSITORY
from tests.fakes.gcs_faults import Fault

WORKER = (REPOSITORY / "deploy" / "payload" / "vertex_worker.py").read_text(encoding="utf-8")
# Says that it has started, and leaves with 75 or 9 when it is stopped.
STOPPED = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
signal.signal(signal.SIGINT, lambda *_: sys.exit(9))
print("started", flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def exit_file(tmp_path, cloud):
    """Returns the name of an unused object in the bucket."""
    return f"{re.sub(r'[^a-z0-9]', '', tmp_path.name)}/run/logs/imdb.exit"


def start(command, exit_file=None, **environment):
    """Starts a worker; its exit code is kept in the object `exit_file` of the bucket."""
    environment = {**os.environ, **environment}
    if exit_file:
        environment["LONGHAUL_EXIT_FILE"] = f"gs://bucket/{exit_file}"
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, *command],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def run(code, exit_file=None, **environment):
    """Runs a program of Python as the worker's command. Returns its exit code and both outputs."""
    process = start([sys.executable, "-c", code], exit_file, **environment)
    output, errors = process.communicate()
    return process.returncode, output, errors


@pytest.mark.parametrize(
    ("code", "expected", "kept"),
    [
        ("pass", 0, "0"),
        ("raise SystemExit(1)", 1, "1"),
        ("raise SystemExit(75)", 134, "75"),
        ("raise SystemExit(134)", 134, "134"),
        ("import os; os.abort()", 134, "134"),
        ("import os; os.kill(os.getpid(), 9)", 137, "137"),
    ],
)
def test_exit_code_is_translated_and_kept(code, expected, kept, exit_file, cloud):
    assert run(code, exit_file)[0] == expected
    assert cloud.objects("bucket")[exit_file].decode().strip() == kept


def test_other_workers_keep_no_exit_code():
    assert run("print('output')") == (0, "output\n", "")


def test_command_has_its_arguments_intact():
    hostile = ["--a=b c;$(touch X)'\"\\`%s` é😀", ""]
    process = start([sys.executable, "-c", "import sys; print(sys.argv[1:])", *hostile])
    assert process.communicate()[0] == f"{hostile}\n"


@pytest.mark.parametrize(
    ("number", "expected", "kept"), [(signal.SIGTERM, 134, "75"), (signal.SIGINT, 9, "9")]
)
def test_signals_reach_the_command(number, expected, kept, exit_file, cloud):
    process = start([sys.executable, "-c", STOPPED], exit_file)
    assert process.stdout.readline() == "started\n"
    process.send_signal(number)
    process.communicate()
    assert process.returncode == expected
    assert cloud.objects("bucket")[exit_file].decode().strip() == kept


def test_stop_before_the_command_has_started_asks_for_another_start(exit_file, cloud):
    fault = cloud.inject(Fault("pause", "delete", name=re.escape(exit_file)))
    process = start([sys.executable, "-c", "print('started')"], exit_file)
    assert fault.reached.wait(60)
    process.terminate()
    output, _ = process.communicate()
    fault.release()
    assert (process.returncode, output) == (134, "")


def test_exit_code_of_an_earlier_start_is_deleted_first(exit_file, cloud):
    cloud.put("bucket", exit_file, b"75\n")
    process = start([sys.executable, "-c", STOPPED], exit_file)
    assert process.stdout.readline() == "started\n"
    assert exit_file not in cloud.objects("bucket")
    process.terminate()
    process.communicate()


def test_bucket_that_refuses_is_a_warning_each(exit_file, cloud):
    for operation in ("delete", "insert"):
        cloud.inject(Fault("403", operation, name=re.escape(exit_file)))
    code, output, errors = run("print('output'); raise SystemExit(75)", exit_file)
    assert (code, output) == (134, "output\n")
    deleted, written = errors.splitlines()
    assert deleted.startswith(f"warning: gs://bucket/{exit_file}: not deleted (")
    assert written.startswith(f"warning: gs://bucket/{exit_file}: not written (")


def test_bucket_that_hangs_delays_the_exit_code_only_so_long(exit_file, cloud):
    impatient = WORKER.replace("_SECONDS_FOR_EXIT_FILE = 10.0", "_SECONDS_FOR_EXIT_FILE = 0.1")
    fault = cloud.inject(Fault("pause", "insert", name=re.escape(exit_file)))
    done = subprocess.run(
        [sys.executable, "-c", impatient, sys.executable, "-c", "raise SystemExit(75)"],
        env={**os.environ, "LONGHAUL_EXIT_FILE": f"gs://bucket/{exit_file}"},
        capture_output=True, text=True,
    )  # fmt: skip
    fault.release()
    assert done.returncode == 134
    assert done.stderr.splitlines()[-1].startswith("warning: gs://bucket/")


def test_command_that_does_not_exist_is_an_error():
    process = start(["no-such-command"])
    _, errors = process.communicate()
    assert process.returncode == 1
    assert "no-such-command" in errors
