"""Tests that take minutes each; run with `make test-slow`."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import labels


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags",
    [
        ("--kills=20", "--store=local"),
        ("--kills=10", "--store=gs"),
        ("--kills=3", "--objective=all_terms"),
        ("--kills=3", "--objective=language_model"),
    ],
    ids=" ".join,
)
def test_repeated_kills_leave_the_result_unchanged(flags):
    command = [sys.executable, "-m", "benchmarks.soak", *flags]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 5])
def test_labels_are_learned_better_than_by_a_regression(count):
    ours, regression = labels.compare(count)
    assert ours > 0.98
    assert ours > regression
