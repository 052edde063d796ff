import json

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from storage import claims
from storage.claims import Superseded
from storage.store import open_store
from trainer.metric_writers import MetricWriter


@pytest.fixture
def writer(tmp_path):
    writer = MetricWriter(open_store(str(tmp_path)), claim=1)
    writer.rewind(to_step=0)
    yield writer
    writer.close()


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_each_line_is_there_as_soon_as_it_is_written(writer, tmp_path):
    writer.write("train", 10, {"loss": 0.5})
    assert lines(tmp_path) == [{"kind": "train", "step": 10, "loss": 0.5}]


def test_what_json_has_no_number_for_is_null(writer, tmp_path):
    writer.write("train", 10, {"gradient_norm": float("inf"), "loss": 0.5})
    assert lines(tmp_path) == [{"kind": "train", "step": 10, "gradient_norm": None, "loss": 0.5}]


def test_rewind_drops_later_lines_tests_and_a_line_cut_short(writer, tmp_path):
    for kind, step in (("train", 10), ("validation", 10), ("train", 20), ("test", 10)):
        writer.write(kind, step, {"loss": 0.5})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "tra')
    again = MetricWriter(open_store(str(tmp_path)), claim=1)
    again.rewind(to_step=10)
    assert [(line["kind"], line["step"]) for line in lines(tmp_path)] == [
        ("train", 10),
        ("validation", 10),
    ]
    again.write("train", 20, {"loss": 0.25})
    again.close()
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert [event.step for event in board.Tensors("train/loss")] == [10, 20]


def test_superseded_process_writes_no_line(tmp_path):
    store = open_store(str(tmp_path))
    writer = MetricWriter(store, claims.take(store))
    writer.rewind(to_step=0)
    claims.take(store)
    with pytest.raises(Superseded):
        writer.write("train", 10, {"loss": 0.5})
    assert lines(tmp_path) == []
