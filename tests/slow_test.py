"""What takes minutes: `make test-slow`."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_twenty_kills_in_a_row_change_nothing():
    command = [sys.executable, "-m", "benchmarks.kills", "--kills=20"]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
