"""Signals to the command at chosen moments: as it imports, reads its config, and ends."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
# Runs the command, which sends itself two signals when it imports a module of the given name, and
# as it ends.
PROGRAM = """
import atexit, os, runpy, signal, sys
command, module, number = sys.argv.pop(1), sys.argv.pop(1), int(sys.argv.pop(1))
def send():
    for _ in range(2):
        os.kill(os.getpid(), number)
class Sender:
    def find_spec(self, name, *_):
        if name == module:
            send()
sys.meta_path.insert(0, Sender())
atexit.register(send)
runpy.run_module(command, run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    ("module", "number"),
    [
        ("absl", signal.SIGINT),
        ("colorsys", signal.SIGINT),
        ("tensorflow", signal.SIGINT),
        ("tensorflow", signal.SIGTERM),
        ("the end", signal.SIGINT),
    ],
)
def test_signal_ends_the_command_with_one_line_at_any_moment(module, number, tmp_path):
    config = tmp_path / "config.py"
    config.write_text("import colorsys\nfrom configs.sample import get_config\n")
    flags = ["--help"] if module == "the end" else [f"--config={config}", f"--workdir={tmp_path}"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "trainer", module, str(number.value), *flags],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (75, "Stopped; run the same command again.\n")


@pytest.mark.parametrize("module", ["absl", "ml_collections", "deploy.targets.target"])
def test_signal_ends_a_submission_with_one_line_as_it_starts(module):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "deploy.submit", module, "2", "--help"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (75, "Stopped; run the same command again.\n")


LEAVE = """
import os, signal
from storage import early_signals
early_signals.listen()
{before}
early_signals.leave()
try:
    os.kill(os.getpid(), signal.{name})
    os._exit(0)
except KeyboardInterrupt:
    os._exit(9)
"""


@pytest.mark.parametrize(
    ("name", "before", "code"),
    [
        ("SIGTERM", "", 9),
        # Set, since these tests may run under nohup themselves.
        ("SIGHUP", "signal.signal(signal.SIGHUP, signal.SIG_DFL)", 9),
        ("SIGHUP", "signal.signal(signal.SIGHUP, signal.SIG_IGN)", 0),  # as nohup does
    ],
)
def test_process_that_has_left_cleans_up_after_a_signal(name, before, code):
    program = LEAVE.format(name=name, before=before)
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=False)
    assert done.returncode == code


@pytest.mark.parametrize("descriptor", [0, 1, 2])
def test_closed_standard_stream_stays_closed(descriptor):
    code = f"""
import os
os.close({descriptor})
from storage import early_signals
early_signals.listen()
try:
    os.fstat({descriptor})
except OSError:
    os._exit(0)
os._exit(1)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False)
    assert done.returncode == 0
