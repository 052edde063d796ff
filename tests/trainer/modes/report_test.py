"""Mode `report` from the command line: without TensorFlow, for runs of any state and place."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from storage.errors import UserError
from storage.store import open_store
from tests.trainer.run.results import random_results
from trainer.modes import report
from trainer.run import test_results
from trainer.run.record import read_record

REPOSITORY = Path(__file__).parents[3]
VERSION_0_1 = REPOSITORY / "tests" / "data" / "version_0_1"
WITHOUT_TENSORFLOW = """
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = None
from trainer.main import run
run()
"""


def run(*flags):
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW, "--mode=report", *flags],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def tested(workdir):
    """Returns a copy of a finished run with results of its test."""
    step = int(read_record(open_store(str(workdir))).test.value("checkpoint"))
    results = random_results(2, 60, step=step)
    (workdir / test_results.NAME).write_bytes(test_results.to_bytes(results))
    return workdir


def test_report_of_a_run_needs_no_tensorflow(tested):
    done = run(f"--workdir={tested}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"Report: {tested}/report.html\n"
    page = (tested / "report.html").read_text()
    assert "Confusion matrix" in page
    assert "What stands out" in page


def test_comparison_goes_where_it_is_asked_to(tested, tmp_path):
    other = shutil.copytree(tested, tmp_path / "other")
    done = run(f"--workdir={tested}", f"--compare={other}", f"--to={tmp_path / 'pages'}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"Report: {tmp_path}/pages/comparison.html\n"
    assert "McNemar" in (tmp_path / "pages" / "comparison.html").read_text()
    assert not (tested / "comparison.html").exists()


@pytest.mark.parametrize("name", ["finished", "stopped"])
def test_run_of_version_0_1_has_a_report(name, tmp_path):
    url = report.write_report(open_store(str(VERSION_0_1 / name)), open_store(str(tmp_path)))
    assert url == f"{tmp_path}/report.html"
    page = (tmp_path / "report.html").read_text()
    assert "metrics.jsonl was written by an earlier version" in page
    assert "gradient norm" in page


def test_report_is_written_into_a_bucket(finished, cloud):
    destination = open_store("gs://bucket/reports/run")
    report.write_report(open_store(str(finished)), destination)
    assert destination.read("report.html").startswith(b"<!doctype html>")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metrics.jsonl", b"{}\n"),
        ("test_results.npz", b"x"),
        ("vocabulary.txt", b"x"),
        ("labels.txt", b"x"),
        ("config.json", b"x"),
    ],
)
def test_damaged_file_is_refused_and_nothing_written(name, content, tested):
    (tested / name).write_bytes(content)
    store = open_store(str(tested))
    with pytest.raises(UserError, match=f"run/{name}"):
        report.write_report(store, store)
    assert not (tested / "report.html").exists()


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (
            ["--compare={folder}/nothing"],
            "--compare: {folder}/nothing holds no run (config.json is missing); give workdirs of "
            "runs, with commas between",
        ),
        (
            ["--compare={folder}/run"],
            "--compare: the workdir '{folder}/run' is given twice; give each workdir once",
        ),
        (
            ["--compare=s3://bucket/run"],
            "--compare: got 's3://bucket/run', but no store is known for s3:/; give a local "
            "folder or gs://BUCKET/NAME",
        ),
    ],
)
def test_other_run_that_can_not_be_compared_is_refused_in_one_line(flags, error, workdir, tmp_path):
    given = [flag.format(folder=tmp_path) for flag in flags]
    done = run(f"--workdir={workdir}", *given)
    assert done.returncode == 1
    assert done.stderr == f"error: {error.format(folder=tmp_path)}\n"
