"""The command as users run it: one real sweep in a bucket, and the mistakes in its flags."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from storage.store import open_store
from tests.conftest import small_config
from tests.trainer.modes.runs import flags_of, lines
from trainer.run.checkpoints import ranked

REPOSITORY = Path(__file__).parents[3]


def command(*flags):
    return [sys.executable, "-m", "trainer.sweep", *map(str, flags)]


def run(*flags):
    return subprocess.run(
        command(*flags), cwd=REPOSITORY, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def flags(reviews, tmp_path_factory):
    """Returns the flags of a small config whose reviews have no test split."""
    folder = tmp_path_factory.mktemp("no_test")
    (folder / "train.jsonl").write_bytes((reviews / "train.jsonl").read_bytes())
    config = small_config()
    config.data.source = f"files:{folder}"
    config.model.layer_sizes = (8,)
    return flags_of(config)


NAME = "0000-dropout=0.2"


@pytest.fixture(scope="module")
def swept(flags, cloud, tmp_path_factory):
    """Returns the URL of a sweep of one trial, and its process."""
    url = f"gs://bucket/{tmp_path_factory.mktemp('sweep').name}"
    return url, run(*flags, "--grid=model.dropout=0.2", f"--workdir={url}")


def test_trial_is_a_run_and_its_score_that_of_the_best_checkpoint(swept):
    url, done = swept
    assert done.returncode == 0, done.stderr
    workdir = f"{url}/trials/{NAME}"
    validated = [line["accuracy"] for line in lines(workdir, "validation")]
    best = ranked(open_store(workdir), "best")[0]
    assert len(validated) == 2 and best.score == max(validated)
    (row,) = [line.split() for line in done.stdout.splitlines() if line.startswith("0000")]
    assert row[:4] == ["0000", "0.2", f"{best.score:.4f}", "2"] and row[-1] == "done"
    assert f"--mode=evaluate --workdir={workdir} --config=configs/default.py" in done.stdout


def test_sweep_leaves_files_for_people_and_programs(swept):
    store = open_store(swept[0])
    assert {name.partition("/")[0] for name in store.list()} == {
        *("plan.json", "sweep.csv", "sweep.json", "sweep.html", "trials", "results", "logs"),
    }
    assert [t["state"] for t in json.loads(store.read("sweep.json"))["trials"]] == ["done"]
    assert b"Epoch: 2/2" in store.read(f"logs/{NAME}.log")


def test_table_needs_the_workdir_only(swept):
    url, done = swept
    shown = run("--table", f"--workdir={url}")
    assert shown.returncode == 0, shown.stderr
    start = done.stdout.index("trial  ")
    assert shown.stdout.splitlines()[:2] == done.stdout[start:].splitlines()[:2]


@pytest.mark.parametrize("more", [[], ["--dry_run"]])
def test_other_sweep_in_the_same_workdir_is_refused(swept, flags, more):
    done = run(*flags, "--grid=model.dropout=0.1,0.3", f"--workdir={swept[0]}", *more)
    assert done.returncode == 1
    assert re.fullmatch(r"error: --grid: the sweep in .* has 1 trial\(s\).*\n", done.stderr)


SAMPLE = "--config=configs/sample.py"
DROPOUT = "--grid=model.dropout=0.1,0.2"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([SAMPLE], "--grid: it is empty"),
        ([SAMPLE, "--config.model.dropout", "0.3", DROPOUT], "--config.model.dropout: "),
        ([SAMPLE, "--config.seed=3", "--seeds=0,1"], "--config.seed: "),
        ([SAMPLE, "--grid=seed=1,2", "--seeds=0,1"], "--seeds: the --grid has values for seed"),
        ([SAMPLE, "--grid=data.test_split=test"], "config.data.test_split: the sweep sets it"),
        ([SAMPLE, DROPOUT, "--trials=3"], "--trials: got 3, but the grid has 2 point(s)"),
        ([SAMPLE, DROPOUT, "--seeds=0,1"], "--workdir: missing"),
        ([SAMPLE, DROPOUT, "now"], "'now': not a flag"),
        ([SAMPLE, DROPOUT, "--trials=-3"], "got '-3', accepted is a non-negative integer"),
        ([SAMPLE, DROPOUT, "--parallel=0"], "got '0', accepted is a positive integer"),
        ([SAMPLE, DROPOUT, "--draw_seed=3"], "--draw_seed: got 3, but without --trials"),
        (["--table", "--workdir=runs/a", DROPOUT], "--grid: --table takes --workdir alone"),
        (["--table"], "--workdir: missing"),
    ],
)
def test_mistake_is_one_line(flags, message):
    done = run(*flags)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and message in line


def test_dry_run_lists_the_trials_and_writes_nothing(tmp_path):
    workdir = tmp_path / "sweep"
    done = run(SAMPLE, DROPOUT, "--seeds=7,8", "--dry_run", f"--workdir={workdir}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        *("0000-dropout=0.1-seed=7", "0001-dropout=0.1-seed=8"),
        *("0002-dropout=0.2-seed=7", "0003-dropout=0.2-seed=8", "4 trial(s)"),
    ]
    assert not workdir.exists()


@pytest.mark.slow
def test_killed_sweep_resumes_to_the_same_scores(flags, tmp_path):
    """Kills it while its second trial runs, whose process goes on until the next start of it."""
    grid = ["--grid=model.dropout=0.2,0.5", "--config.train.epochs=6", "--stop_early"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    expected = run(*flags, *grid, f"--workdir={whole}")
    assert expected.returncode == 0, expected.stderr
    process = subprocess.Popen(
        command(*flags, *grid, f"--workdir={killed}"), cwd=REPOSITORY, stdout=subprocess.PIPE
    )
    store = open_store(str(killed))
    second = "trials/0001-dropout=0.5"
    while not store.exists(f"{second}/metrics.jsonl"):
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = run(*flags, *grid, f"--workdir={killed}")
    assert done.returncode == 0, done.stderr
    assert len(store.list("trials/0000-dropout=0.2/claims/")) == 1
    scores = [
        {t["trial"]: (t["state"], t["scores"], t["score"]) for t in json.loads(data)["trials"]}
        for data in (store.read("sweep.json"), (whole / "sweep.json").read_bytes())
    ]
    assert scores[0] == scores[1]
