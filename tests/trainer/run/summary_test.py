"""What a training says before its first step and at its end."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from input_pipeline.sources import once
from storage.store import open_store
from storage.url_list import quoted
from tests.trainer.run.terminals import standard_output
from trainer.machines.preemption import StopRequests
from trainer.run import checkpoints, memory, summary
from trainer.run.clock import Clock
from trainer.run.start import start

MODES = ("evaluate", "predict", "explain", "serve", "export", "report")
SHARDS = Path("tests/data/version_0_1/shards").absolute()


def started(config, workdir):
    """Returns what a start on a workdir works with, and its progress."""
    clock = Clock()
    run, progress = start(config, open_store(str(workdir)), clock, StopRequests())
    clock.end_start()
    return run, progress


def facts(monkeypatch, run, progress):
    """Returns what is said before a training, line by line."""
    with standard_output(monkeypatch, is_terminal=False) as screen:
        summary.before(run, progress)
    return screen.text.splitlines()


def test_fresh_run_says_its_data_network_plan_and_memory(run_config, tmp_path, monkeypatch):
    run, progress = started(run_config, tmp_path / "run")
    monkeypatch.setattr(once, "_given", {"a.csv: skipped 3 reviews": None})
    lines = dict(line.split(": ", 1) for line in facts(monkeypatch, run, progress))
    source = run_config.data.source
    assert lines["Data"] == f"{source}: 644 reviews to train on, 56 to validate, 60 to test"
    assert lines["Warnings"] == "a.csv: skipped 3 reviews"
    negative, positive = map(
        int, re.findall(r"(\d+) \+ (\d+) reviews to train on$", lines["Labels"])[0]
    )
    assert lines["Labels"].startswith("'negative' is 0, 'positive' is 1 (the positive one); ")
    assert negative + positive == 644
    assert re.match(r"200 token ids; \d+\.\d% of the tokens to validate with", lines["Vocabulary"])
    assert lines["Network"] == ("2,153 parameters: Embedding(8) 1,600, LSTM(8) 544, Dense(1) 9")
    assert lines["Training"] == "2 epoch(s) of 41 steps of 16 reviews, 82 steps in all"
    assert lines["Memory"].startswith("about 8")


def test_run_that_is_trained_says_so(run_config, workdir, monkeypatch):
    run, progress = started(run_config, workdir)
    lines = facts(monkeypatch, run, progress)
    assert (
        "Training: 2 epoch(s) of 41 steps of 16 reviews, 82 steps in all, 82 of them done" in lines
    )
    assert lines[-1] == (
        "All 2 epochs of this run are trained; what is left is the test of its best checkpoint"
    )


def test_labels_in_shards_are_not_counted(config, tmp_path, monkeypatch):
    config.data.source = f"shards:{SHARDS}"
    run, progress = started(config, tmp_path / "run")
    lines = facts(monkeypatch, run, progress)
    assert "Labels: 'negative' is 0, 'positive' is 1 (the positive one)" in lines


def test_end_names_files_time_and_commands_quoted_for_a_shell(
    run_config, finished, tmp_path, monkeypatch
):
    folder = tmp_path / "it's a run, mine"
    shutil.copytree(finished, folder)
    run, _ = started(run_config, folder)
    best = checkpoints.ranked(run.store, "best")[0]
    for report in (None, f"{folder}/report.html"):
        with standard_output(monkeypatch, is_terminal=False) as screen:
            summary.after(run, best, report)
        lines = screen.text.splitlines()
        assert re.match(r"Time: \d+ s: start \d+\.\d%", lines[0])
        assert re.match(r"Memory: .* at its peak", lines[1])
        assert f"Workdir: {folder}" in lines
        assert f"Best checkpoint: {folder}/checkpoints/{best.step}" in lines
        assert any(line.startswith("Curves: tensorboard --logdir='") for line in lines)
        reports = [line for line in lines if line.startswith("Report: ")]
        assert reports == ([f"Report: {report}"] if report else [])
        commands = [shlex.split(line) for line in lines[lines.index("Next:") + 1 :]]
        assert [command[4] for command in commands] == [f"--mode={mode}" for mode in MODES]
        assert all(command[3] == f"--workdir={quoted(str(folder))}" for command in commands)


@pytest.mark.parametrize(
    ("evaluation_batch", "numbers"), [(16, 16 * (8 + 11 * 8)), (64, 64 * (2 * 8 + 3 * 8))]
)
def test_memory_is_estimated_for_the_widest_batch_and_all_copies_of_the_state(
    run_config, tmp_path, evaluation_batch, numbers
):
    config = run_config.copy_and_resolve_references()
    config.evaluation.batch_size = evaluation_batch
    run, _ = started(config, tmp_path / "run")
    parts = memory.estimate(run)
    assert parts["the widest batch"] == 48 * 4 * numbers
    assert parts["weights and optimizer"] == 4 * 2_153 * 7
    assert 1e8 < memory.peak() < 1e11


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 MB"), (83_400_000, "83 MB"), (1_120_000_000, "1.1 GB")]
)
def test_memory_is_told_in_powers_of_ten(size, words):
    assert memory.in_units(size) == words
