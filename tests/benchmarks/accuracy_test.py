"""Tests of `benchmarks.accuracy`: its table, and what it trains again."""

import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import accuracy
from tests.trainer.modes.runs import lines

ROOT = Path(__file__).parents[2]
CONFIG = """\
from configs import sample


def get_config():
    config = sample.get_config()
    config.data.source = "files:{source}"
    config.model.layer_sizes = (4,)
    config.train.epochs = 1
    config.evaluation.report = False
    return config
"""


def record(workdir, accuracies, is_tested=True):
    """Writes the metrics of a run of two starts, as the trainer does."""
    made = [
        {"kind": "validation", "step": step, "accuracy": value}
        for step, value in enumerate(accuracies)
    ]
    made += [
        {"kind": "epoch", "step": step, "start": start, "seconds": seconds}
        for step, (start, seconds) in enumerate([(1, 20.0), (1, 50.0), (2, 30.0)])
    ]
    made += [{"kind": "test", "step": 9, "accuracy": 1.0}] * is_tested
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in made))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Returns a function that runs the benchmark, and the commands of the trainings it starts.

    A training ends at once and leaves the metrics of a run, where it does not find them finished.
    """
    commands = []

    @contextlib.contextmanager
    def training(config, workdir, log, *overrides):
        commands.append((config, workdir.name, overrides))
        if not any(line["kind"] == "test" for line in accuracy.metrics(workdir)):
            record(workdir, (0.5, 0.55))
        log.touch()
        with subprocess.Popen(["true"]) as process:
            yield process

    def benchmark(*flags):
        path = tmp_path / "results.json"
        folder = f"--folder={tmp_path / 'runs'}"
        monkeypatch.setattr("sys.argv", ["accuracy", folder, f"--json={path}", *flags])
        accuracy.main()
        return json.loads(path.read_text())["results"]

    monkeypatch.setattr(accuracy, "training", training)
    return benchmark, commands


def test_result_is_the_best_validation_and_the_time_of_all_starts(tmp_path):
    record(tmp_path, (0.6, 0.8, 0.7))
    assert accuracy.result(tmp_path) == (0.8, 80.0)


def test_table_has_a_row_for_each_ingredient_with_the_range_over_seeds(run, tmp_path, capsys):
    benchmark, _ = run
    for row, values in (("base", (0.6, 0.8)), ("both-directions", (0.9, 0.7))):
        for seed, value in enumerate(values):
            record(tmp_path / "runs" / f"{row}-{seed}", (0.1, value))
    results = benchmark("--rows=base,both directions", "--seeds=0,1")
    assert results == [
        {"row": "base", "seed": 0, "accuracy": 0.6},
        {"row": "base", "seed": 1, "accuracy": 0.8},
        {"row": "both directions", "seed": 0, "accuracy": 0.9},
        {"row": "both directions", "seed": 1, "accuracy": 0.7},
    ]
    printed = capsys.readouterr().out.splitlines()
    assert [line.split() for line in printed[-3:]] == [
        ["validation", "range", "seconds"],
        ["base", "0.7000", "0.6000-0.8000", "80"],
        ["both", "directions", "0.8000", "0.7000-0.9000", "80"],
    ]
    assert printed[-4].endswith("; configs/imdb.py, seeds 0,1")


def test_commands_of_the_trainings_leave_the_test_reviews_alone(run, tmp_path):
    benchmark, commands = run
    record(tmp_path / "runs" / "average-0", (0.8,))
    record(tmp_path / "runs" / "average-3", (0.9,), is_tested=False)
    results = benchmark("--config=c.py", "--rows=average,base", "--seeds=0,3")
    held_out = ("data.validation_share=0.2", "data.test_split=train[:1%]")
    assert commands == [
        ("c.py", "average-0", ("train.average_decay=0.99", "seed=0", *held_out)),
        ("c.py", "average-3", ("train.average_decay=0.99", "seed=3", *held_out)),
        ("c.py", "base-0", ("seed=0", *held_out)),
        ("c.py", "base-3", ("seed=3", *held_out)),
    ]
    assert [row["accuracy"] for row in results] == [0.8, 0.55, 0.55, 0.55]
    assert benchmark("--config=c.py", "--rows=average,base", "--seeds=0,3") == results
    assert commands[4:] == commands[:4]  # the trainer compares the configs


def test_each_training_has_a_log_of_its_own(run, tmp_path):
    benchmark, _ = run
    benchmark("--rows=dropout 0.3", "--seeds=0,1")
    logs = sorted(path.name for path in (tmp_path / "runs").glob("*.log"))
    assert logs == ["dropout-0.3-0.log", "dropout-0.3-1.log"]


def test_unknown_row_is_refused_and_the_rows_are_named(run, capsys):
    benchmark, _ = run
    with pytest.raises(SystemExit, match="2"):
        benchmark("--rows=base,bigger")
    message = capsys.readouterr().err
    assert "--rows: got 'bigger', accepted are base, no wide part, " in message


@pytest.mark.slow
def test_stopped_training_is_resumed_by_the_same_command(reviews, tmp_path):
    source, config, folder = (tmp_path / name for name in ("reviews", "small.py", "runs"))
    source.mkdir()
    for split in ("train", "train[:1%]"):
        shutil.copy(reviews / "train.jsonl", source / f"{split}.jsonl")
    config.write_text(CONFIG.format(source=source))
    flags = [f"--folder={folder}", f"--config={config}", "--rows=base", "--seeds=0"]
    command = [sys.executable, "-m", "benchmarks.accuracy", *flags]
    subprocess.run(command, cwd=ROOT, check=True)
    trained, file = folder / "base-0", folder / "base-0" / "metrics.jsonl"
    *before, _ = file.read_text().splitlines(keepends=True)
    file.write_text("".join(before))
    expected = lines(trained, "validation")
    subprocess.run(command, cwd=ROOT, check=True)
    assert "Resuming" in (folder / "base-0.log").read_text()
    assert lines(trained, "validation") == expected
    assert len(lines(trained, "test")) == 1
