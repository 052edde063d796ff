"""Runs the commands of docs/tutorial.md word for word, in a copy of the tree."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from input_pipeline.sources import sample_corpus

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ENDED = "\x1e"  # a character that separates what the blocks print


def commands():
    return BLOCK.findall((ROOT / "docs/tutorial.md").read_text(encoding="utf-8"))


def copied(folder):
    """Copies what git has, or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_commands_of_the_tutorial_do_what_it_says(tmp_path):
    copied(tmp_path)
    # What a failed command leaves in the background ends with the script.
    script = "set -e\ntrap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n"
    script += f"printf '{ENDED}'\n".join(commands())
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "HOME": str(tmp_path)}
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    _, trained, report, explained, predicted, _, served, answer, _ = done.stdout.split(ENDED)
    accuracy = re.search(r"Test Accuracy: (\S+)", trained)
    assert float(accuracy[1]) > 0.95
    assert "runs/mine/report.html" in report
    assert (tmp_path / "runs/mine/report.html").stat().st_size > 10_000
    assert "negative" in explained
    assert {file.suffix for file in (tmp_path / "explained").glob("*-*")} == {".html", ".png"}
    assert "id,text,predicted_label,probability" in predicted
    with (tmp_path / "predicted.csv").open(newline="", encoding="utf-8") as file:
        labels = [row["predicted_label"] for row in csv.DictReader(file)]
    expected = [("negative", "positive")[label] for _, label in sample_corpus.reviews("test")]
    assert sum(map(str.__eq__, labels, expected)) > 0.95 * len(expected)
    assert (tmp_path / "runs/mine/export/saved_model.pb").exists()
    assert "http://127.0.0.1:8501" in served
    (prediction,) = json.loads(answer)["predictions"]
    assert prediction["label"] == "positive"
    assert prediction["probability"] > 0.5
