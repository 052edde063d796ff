"""Metrics as lines of metrics.jsonl, and further writers that may fail."""

import importlib.util
import math
import sys
import threading

import pytest

from storage.errors import UserError
from storage.store import open_store
from tests.conftest import small_config
from tests.fakes.gcs_faults import Fault
from tests.trainer.run.writers.opened import metrics, open_writers, points
from trainer.machines.preemption import StopRequests
from trainer.modes import train
from trainer.run.clock import Clock
from trainer.run.writers import several
from trainer.run.writers.writer import NoWriter


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path))


@pytest.fixture
def bucket(cloud, tmp_path):
    return open_store(f"gs://bucket/{tmp_path.name}", retry_seconds=1)


def test_each_line_is_flushed_when_it_is_written(store, tmp_path):
    open_writers(store).write("train", 10, {"loss": 0.5})
    assert metrics(tmp_path) == [{"kind": "train", "step": 10, "loss": 0.5}]


def test_infinite_value_is_written_as_null(store, tmp_path):
    writers = open_writers(store)
    writers.write("train", 10, {"gradient_norm": float("inf"), "loss": 0.5})
    assert metrics(tmp_path) == [{"kind": "train", "step": 10, "gradient_norm": None, "loss": 0.5}]


def test_resumed_run_continues_after_the_lines_of_its_checkpoint(store, tmp_path):
    first = open_writers(store)
    first.write("train", 10, {"loss": 0.5})
    saved_lines = bytes(first.lines)
    first.write("train", 20, {"loss": 9.0})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "tra')
    resumed = open_writers(store, saved_lines)
    assert [line["step"] for line in metrics(tmp_path)] == [10]
    resumed.write("train", 20, {"loss": 0.25})
    resumed.close()
    assert [line["loss"] for line in metrics(tmp_path)] == [0.5, 0.25]
    assert points(tmp_path / "tensorboard/train", "loss") == [(10, 0.5), (20, 0.25)]


def test_lines_of_a_superseded_start_are_dropped(store, tmp_path):
    older = open_writers(store)
    newer = open_writers(store)
    older.write("train", 10, {"loss": 0.5})
    newer.write("train", 5, {"loss": 0.25})
    older.close()
    newer.close()
    assert [line["step"] for line in metrics(tmp_path)] == [5]
    assert points(tmp_path / "tensorboard/train", "loss") == [(5, 0.25)]


def test_no_writer_but_the_file_when_none_is_named(store, tmp_path):
    writers = open_writers(store, names="")
    writers.write("train", 10, {"loss": 0.5})
    writers.close()
    assert [line["step"] for line in metrics(tmp_path)] == [10]
    assert store.list("tensorboard/") == []


def test_failure_of_one_file_does_not_keep_the_others_from_being_closed(cloud, bucket):
    others = set(threading.enumerate())
    writers = open_writers(bucket)
    cloud.inject(Fault("403", "insert", name="metrics", times=math.inf))
    writers.write("train", 10, {"loss": 0.5})
    with pytest.raises(UserError, match="not permitted"):
        writers.close()
    cloud.clear()
    assert "log" not in {thread.name for thread in set(threading.enumerate()) - others}


def test_failure_of_tensorboard_is_a_warning(cloud, bucket, caplog):
    writers = open_writers(bucket)
    cloud.inject(Fault("403", "insert", name="tfevents", times=math.inf))
    writers.write("train", 10, {"loss": 0.5})
    writers.close()
    cloud.clear()
    warnings = [r.getMessage() for r in caplog.records if "train.writers" in r.getMessage()]
    assert len(warnings) == 1
    assert "tensorboard is off" in warnings[0]
    assert b'"loss": 0.5' in bucket.read("metrics.jsonl")


def test_writers_can_be_closed_again(store, tmp_path):
    writers = open_writers(store)
    writers.write("train", 10, {"loss": 0.5})
    writers.close()
    writers.close(seconds=1, finished=False)  # as when what follows the training fails
    assert points(tmp_path / "tensorboard/train", "loss") == [(10, 0.5)]


def test_missing_package_is_refused_with_the_command_that_installs_it(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "wandb" else found(name)
    )
    config = small_config()
    config.train.writers = "tensorboard,wandb"
    with pytest.raises(UserError, match=r"config.train.writers: got 'wandb'.*longhaul\[wandb\]"):
        several.require_installed(config)
    config.train.writers = "tensorboard,mlflow"
    several.require_installed(config)


def test_folder_with_the_name_of_a_package_is_none(monkeypatch, tmp_path):
    """Where `wandb` is not installed but has written an offline run."""
    (tmp_path / "wandb").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    config = small_config()
    config.train.writers = "wandb"
    with pytest.raises(UserError, match="not installed"):
        several.require_installed(config)


def test_nothing_is_written_when_a_package_is_missing(monkeypatch, store, config):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    config.train.writers = "wandb"
    with pytest.raises(UserError, match="not installed"):
        train.train_and_evaluate(config, store, Clock(), StopRequests())
    assert store.list() == []


def test_worker_that_is_not_the_chief_writes_nothing(tmp_path):
    writer = NoWriter()
    writer.write("train", 10, {"loss": 0.5})
    writer.close(finished=False)
    assert writer.lines == b""
