"""Workdirs and shards made by version 0.1: they resume, evaluate and predict.

`tests/data/version_0_1` holds a finished run, a run stopped at step 14 of 24 in its second epoch,
the metrics of version 0.1 after it resumed that run, and the prepared shards that both runs read.
"""

import json
import shutil
from pathlib import Path

import pytest

from configs.schema.stored import stored_config
from storage.store import open_store
from trainer.learning.metrics import MetricSums
from trainer.machines.preemption import StopRequests
from trainer.modes import evaluate, predict, train
from trainer.run.checkpoints import ranked
from trainer.run.clock import Clock
from trainer.run.workdir import scoring_config

DATA = Path(__file__).parents[2] / "data" / "version_0_1"
TIMED = ("reviews_per_second", "tokens_per_second", "goodput", "time", "start", "seconds")


@pytest.fixture
def open_copy(tmp_path):
    """Returns a function that copies a run, which a test may then change, and opens its store."""

    def copy_and_open(name):
        return open_store(str(shutil.copytree(DATA / name, tmp_path / name)))

    return copy_and_open


def metric_lines(text):
    """Returns the parsed lines without the fields that depend on time."""
    lines = [json.loads(line) for line in text.splitlines()]
    return [{name: line[name] for name in line if name not in TIMED} for line in lines]


def test_stopped_run_resumes_with_the_metrics_of_version_0_1(open_copy, capsys):
    store = open_copy("stopped")
    config = stored_config(store)
    config.data.dir = str(DATA)
    train.train_and_evaluate(config, store, Clock(), StopRequests())
    assert "at step 14" in capsys.readouterr().out
    expected_lines = metric_lines((DATA / "stopped_then_resumed.jsonl").read_text())
    lines = metric_lines(store.read("metrics.jsonl"))
    for line, expected in zip(lines, expected_lines, strict=True):
        assert line["kind"] == expected.pop("kind")
        assert {name: line[name] for name in expected} == pytest.approx(
            expected, rel=1e-4, abs=1e-6
        )


def test_accuracy_in_a_manifest_is_read_into_metrics_and_score(open_copy):
    mid_epoch, epoch_end = (m for m in ranked(open_copy("stopped"), "last") if m.step in (14, 8))
    assert (mid_epoch.step, mid_epoch.metrics, mid_epoch.score) == (14, {}, None)
    assert (epoch_end.metrics, epoch_end.score) == ({"accuracy": 0.4375}, 0.4375)
    sums = MetricSums(mid_epoch.sums["epoch_sums"])  # of steps 9 to 14, of 16 reviews each
    assert sums.pairs()["accuracy"][1] == 6 * 16
    assert not MetricSums(epoch_end.sums["epoch_sums"])


def test_evaluation_of_a_finished_run_repeats_its_test(open_copy, capsys):
    store = open_copy("finished")
    config = scoring_config(store, None)
    config.data.dir = str(DATA)
    metrics = evaluate.evaluate(config, store, "best")
    (expected,) = (m for m in metric_lines(store.read("metrics.jsonl")) if m["kind"] == "test")
    for name in ("loss", "accuracy", "auc"):
        assert metrics[name] == pytest.approx(expected[name], rel=1e-5)
    assert "Checkpoint: step 16, validation accuracy 0.438" in capsys.readouterr().out


def test_prediction_of_a_finished_run_is_that_of_version_0_1(open_copy, capsys):
    store = open_copy("finished")
    texts = ["The film was wonderful.", "The film was dull."]
    predict.predict(scoring_config(store, None), store, "best", texts)
    # Version 0.1 printed 0.4796 for both.
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert rows == [["0.4796", "negative", text] for text in texts]
