"""Tests that take minutes each; run with `make test-slow`."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize(("kills", "store"), [(20, "local"), (10, "gs")])
def test_repeated_kills_leave_the_result_unchanged(kills, store):
    command = [sys.executable, "-m", "benchmarks.soak", f"--kills={kills}", f"--store={store}"]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
