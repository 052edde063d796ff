"""Metrics as lines of metrics.jsonl and as scalars of TensorBoard."""

import json
import math
import threading

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from storage import claims
from storage.errors import UserError
from storage.store import open_store
from tests.fakes.gcs_faults import Fault
from trainer.run.metric_writers import MetricWriter


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path))


def create_writer(store, saved_lines=b"", board="tensorboard"):
    return MetricWriter(store, claims.take(store), saved_lines, board)


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_each_line_is_flushed_when_it_is_written(store, tmp_path):
    create_writer(store).write("train", 10, {"loss": 0.5})
    assert lines(tmp_path) == [{"kind": "train", "step": 10, "loss": 0.5}]


def test_infinite_value_is_written_as_null(store, tmp_path):
    writer = create_writer(store)
    writer.write("train", 10, {"gradient_norm": float("inf"), "loss": 0.5})
    assert lines(tmp_path) == [{"kind": "train", "step": 10, "gradient_norm": None, "loss": 0.5}]


def test_resumed_run_continues_after_the_lines_of_its_checkpoint(store, tmp_path):
    first = create_writer(store)
    first.write("train", 10, {"loss": 0.5})
    saved_lines = bytes(first.lines)
    first.write("train", 20, {"loss": 9.0})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "tra')
    resumed = create_writer(store, saved_lines)
    assert [line["step"] for line in lines(tmp_path)] == [10]
    resumed.write("train", 20, {"loss": 0.25})
    resumed.close()
    assert [line["loss"] for line in lines(tmp_path)] == [0.5, 0.25]
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    scalars = [(event.step, event.value) for event in events.Scalars("train/loss")]
    assert scalars == [(10, 0.5), (20, 0.25)]


def test_lines_of_a_superseded_start_are_dropped(store, tmp_path):
    older = create_writer(store)
    newer = create_writer(store)
    older.write("train", 10, {"loss": 0.5})
    newer.write("train", 5, {"loss": 0.25})
    older.close()
    newer.close()
    assert [line["step"] for line in lines(tmp_path)] == [5]
    assert len(store.list("tensorboard/")) == 1


def test_folder_for_tensorboard_can_be_chosen(store, tmp_path):
    writer = create_writer(store, board="logs")
    writer.write("train", 10, {"loss": 0.5})
    writer.close()
    events = EventAccumulator(str(tmp_path / "logs"))
    events.Reload()
    assert [event.value for event in events.Scalars("train/loss")] == [0.5]
    assert store.list("tensorboard/") == []


def test_failure_of_one_file_does_not_keep_the_other_from_being_closed(cloud, tmp_path):
    others = set(threading.enumerate())
    writer = create_writer(open_store(f"gs://bucket/{tmp_path.name}"))
    cloud.inject(Fault("403", "insert", name="metrics", times=math.inf))
    writer.write("train", 10, {"loss": 0.5})
    with pytest.raises(UserError, match="not permitted"):
        writer.close()
    cloud.clear()
    assert "log" not in {thread.name for thread in set(threading.enumerate()) - others}
