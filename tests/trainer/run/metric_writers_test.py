import json

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from storage import claims
from storage.store import open_store
from trainer.run.metric_writers import MetricWriter


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path))


def writer_of(store, saved=b"", board="tensorboard"):
    return MetricWriter(store, claims.take(store), saved, board)


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_each_line_is_there_as_soon_as_it_is_written(store, tmp_path):
    writer_of(store).write("train", 10, {"loss": 0.5})
    assert lines(tmp_path) == [{"kind": "train", "step": 10, "loss": 0.5}]


def test_what_json_has_no_number_for_is_null(store, tmp_path):
    writer = writer_of(store)
    writer.write("train", 10, {"gradient_norm": float("inf"), "loss": 0.5})
    assert lines(tmp_path) == [{"kind": "train", "step": 10, "gradient_norm": None, "loss": 0.5}]


def test_resumed_run_goes_on_from_the_lines_of_its_checkpoint(store, tmp_path):
    first = writer_of(store)
    first.write("train", 10, {"loss": 0.5})
    saved = bytes(first.lines)
    first.write("train", 20, {"loss": 9.0})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "tra')
    again = writer_of(store, saved)
    assert [line["step"] for line in lines(tmp_path)] == [10]
    again.write("train", 20, {"loss": 0.25})
    again.close()
    assert [line["loss"] for line in lines(tmp_path)] == [0.5, 0.25]
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    scalars = [(event.step, event.value) for event in board.Scalars("train/loss")]
    assert scalars == [(10, 0.5), (20, 0.25)]


def test_what_a_superseded_process_writes_goes_nowhere(store, tmp_path):
    older = writer_of(store)
    newer = writer_of(store)
    older.write("train", 10, {"loss": 0.5})
    newer.write("train", 5, {"loss": 0.25})
    older.close()
    newer.close()
    assert [line["step"] for line in lines(tmp_path)] == [5]
    assert len(store.list("tensorboard/")) == 1


def test_tensorboard_may_look_elsewhere(store, tmp_path):
    writer = writer_of(store, board="logs")
    writer.write("train", 10, {"loss": 0.5})
    writer.close()
    board = EventAccumulator(str(tmp_path / "logs"))
    board.Reload()
    assert [event.value for event in board.Scalars("train/loss")] == [0.5]
    assert store.list("tensorboard/") == []
