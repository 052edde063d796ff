"""Workdirs and shards that version 0.1 has made: they resume, evaluate and predict.

`tests/data/version_0_1` holds a finished run, a run stopped at step 14 of 24 in its second epoch,
the metrics that version 0.1 went on to write for it, and the prepared shards that both read.
"""

import json
import shutil
from pathlib import Path

import pytest

from storage.store import open_store
from trainer.learning.metrics import MetricSums
from trainer.machines.preemption import StopRequests
from trainer.modes import evaluate, predict, train
from trainer.run.checkpoints import ranked
from trainer.run.clock import Clock
from trainer.run.workdir import scoring_config, stored_config

DATA = Path(__file__).parents[2] / "data" / "version_0_1"
TIMED = ("reviews_per_second", "tokens_per_second", "goodput", "time")


@pytest.fixture
def open_copy(tmp_path):
    """Returns the store of a copy of one of the runs, to be changed at will."""

    def copied(name):
        return open_store(str(shutil.copytree(DATA / name, tmp_path / name)))

    return copied


def metric_lines(text):
    lines = [json.loads(line) for line in text.splitlines()]
    return [{k: v for k, v in line.items() if k not in TIMED} for line in lines]


def test_stopped_run_resumes_and_ends_as_it_would_have(open_copy, capsys):
    store = open_copy("stopped")
    config = stored_config(store)
    config.data.dir = str(DATA)
    train.train_and_evaluate(config, store, Clock(), StopRequests())
    assert "at step 14" in capsys.readouterr().out
    before = metric_lines((DATA / "stopped_carried_on.jsonl").read_text())
    for line, old in zip(metric_lines(store.read("metrics.jsonl")), before, strict=True):
        assert line["kind"] == old.pop("kind")
        assert {name: line[name] for name in old} == pytest.approx(old, rel=1e-4, abs=1e-6)


def test_manifests_are_read_into_metrics_and_score(open_copy):
    within, end = (m for m in ranked(open_copy("stopped"), "last") if m.step in (14, 8))
    assert (within.step, within.metrics, within.score) == (14, {}, None)
    assert (end.metrics, end.score) == ({"accuracy": 0.4375}, 0.4375)
    sums = MetricSums(within.sums["epoch_sums"])  # of steps 9 to 14, of 16 reviews each
    assert sums.pairs()["accuracy"][1] == 6 * 16
    assert not MetricSums(end.sums["epoch_sums"])


def test_finished_run_is_evaluated_as_its_own_test_was(open_copy, capsys):
    store = open_copy("finished")
    config = scoring_config(store, None)
    config.data.dir = str(DATA)
    metrics = evaluate.evaluate(config, store, "best")
    (old,) = (m for m in metric_lines(store.read("metrics.jsonl")) if m["kind"] == "test")
    for name in ("loss", "accuracy", "auc"):
        assert metrics[name] == pytest.approx(old[name], rel=1e-5)
    assert "Checkpoint: step 16, validation accuracy 0.438" in capsys.readouterr().out


def test_finished_run_predicts(open_copy, capsys):
    store = open_copy("finished")
    texts = ["The film was wonderful.", "The film was dull."]
    predict.predict(scoring_config(store, None), store, "best", texts)
    # As version 0.1 printed it.
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert rows == [["0.4796", "negative", text] for text in texts]
