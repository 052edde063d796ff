"""Runs each benchmark of docs/performance.md with tiny settings. Takes minutes."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.peers.contestants import CONTESTANTS
from benchmarks.step.__main__ import operations

ROOT = Path(__file__).parents[2]


def results_of(folder, *command):
    """Runs a benchmark with these flags and returns what it writes as JSON."""
    path = folder / "results.json"
    done = subprocess.run(
        [sys.executable, "-m", *command, f"--json={path}"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads(path.read_text())
    assert written["benchmark"] == command[0].rpartition(".")[2]
    assert "cores" in written["machine"]["machine"]
    assert {"python", "tensorflow", "keras", "numpy"} <= written["versions"].keys()
    return written["results"]


def test_operations_are_those_of_the_formula():
    assert operations() == 3 * 2 * ((128 + 128) * 4 * 128 + (128 + 64) * 4 * 64)


@pytest.mark.slow
def test_peers_take_turns(tmp_path):
    flags = ("--data_source=sample", "--steps=2", "--rounds=2")
    results = results_of(tmp_path, "benchmarks.peers", *flags)
    has_torch = importlib.util.find_spec("torch")
    names = [name for name in CONTESTANTS if has_torch or not name.startswith("torch")]
    assert [result["contestant"] for result in results] == names
    for result in results:
        assert len(result["turns"]) == 2
        assert all(turn["tokens_per_second"] > 0 for turn in result["turns"])


@pytest.mark.slow
def test_peers_train_until_an_accuracy_or_the_last_epoch(tmp_path):
    flags = ("--data_source=sample", "--contestants=longhaul", "--seeds=0,1", "--epochs=1")
    reached = results_of(tmp_path, "benchmarks.peers", *flags, "--until=0.1")
    assert [(result["seed"], len(result["points"])) for result in reached] == [(0, 1), (1, 1)]
    missed = results_of(tmp_path, "benchmarks.peers", *flags, "--until=1.1")
    epochs = [[point["epochs"] for point in result["points"]] for result in missed]
    assert epochs == [[0.5, 1.0]] * 2


@pytest.mark.slow
def test_step_compares_kernels(tmp_path):
    flags = ("--rows=4", "--widths=8", "--kernels=cpu,keras", "--calls=1", "--rounds=1")
    product, *rows = results_of(tmp_path, "benchmarks.step", *flags)
    assert product["product_gflops"] > 0
    assert [row["what"].partition(",")[0] for row in rows] == ["cpu", "keras", "keras", "longhaul"]


@pytest.mark.slow
def test_input_is_measured_alone_and_in_training(tmp_path):
    flags = ("--data_source=sample", "--splits=train", "--steps=1")
    (row,) = results_of(tmp_path, "benchmarks.input", *flags)
    assert row["epochs"] == len(row["peak_memory"]) == 3
    assert row["pipeline_tokens_per_second"] > row["tokens_per_second"] > 0
    assert 0 <= row["input_wait"] < 1


@pytest.mark.slow
def test_starts_are_timed(tmp_path):
    flags = ("--config=configs/sample.py", "--rounds=1")
    rows = results_of(tmp_path, "benchmarks.start_up", *flags)
    assert len(rows) == 3
    assert all(row["seconds"][0]["ready"] > 0 for row in rows)


@pytest.mark.slow
def test_layouts_are_timed(tmp_path):
    flags = ("--rate", "--config=configs/sample.py", "--split=train", "--rounds=1")
    *rows, last = results_of(tmp_path, "benchmarks.workers", *flags)
    assert [len(row["tokens_per_second"]) for row in rows] == [1] * 5
    assert last == {"differences": []}
