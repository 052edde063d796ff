"""TensorBoard's files, read by TensorBoard's own backend and plugins."""

import json
import threading

import numpy as np
from tensorboard.util import tensor_util

from storage.store import open_store
from tests.trainer.run.writers.opened import board, open_writers, points
from trainer.run.writers.writer import Embedding, Histogram, Text

HISTOGRAM = Histogram("weights/head", np.array([0.0, 1.0, 3.0]), np.array([4, 6]))


def events_files(store):
    return [name for name in store.list("tensorboard/") if "tfevents" in name]


def download(store, folder):
    """Copies TensorBoard's files, as `gcloud storage rsync` does."""
    for name in store.list("tensorboard/"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(store.read(name))
    return folder / "tensorboard"


def texts(folder, tag):
    tensors = board(folder).Tensors(tag)
    return [
        (event.step, tensor_util.make_ndarray(event.tensor_proto).item().decode())
        for event in tensors
    ]


def test_kinds_are_runs_with_the_same_tags(store, tmp_path):
    writers = open_writers(store)
    writers.write("train", 10, {"loss": 0.5, "accuracy": 0.75})
    writers.write("validation", 10, {"loss": 0.25, "accuracy": 0.5, "auc": None})
    writers.close()
    folder = download(store, tmp_path)
    assert points(folder / "train", "loss") == [(10, 0.5)]
    assert points(folder / "validation", "loss") == [(10, 0.25)]
    for kind in ("train", "validation"):
        assert board(folder / kind).Tags()["scalars"] == ["loss", "accuracy"]


def test_resumed_run_has_no_point_text_or_histogram_twice_and_loses_none(store, tmp_path):
    first = open_writers(store)
    first.write("validation", 40, {"loss": 0.5}, [Text("reviews", "early"), HISTOGRAM])
    saved_lines = bytes(first.lines)
    first.write("validation", 80, {"loss": 9.0}, [Text("reviews", "never saved"), HISTOGRAM])
    first.close(finished=False)
    # The start that is killed at once writes no text: the next one has to find it all the same.
    open_writers(store, saved_lines).close(finished=False)
    resumed = open_writers(store, saved_lines)
    resumed.write("validation", 80, {"loss": 0.25}, [Text("reviews", "late"), HISTOGRAM])
    resumed.close()
    folder = download(store, tmp_path) / "validation"
    assert points(folder, "loss") == [(40, 0.5), (80, 0.25)]
    assert texts(folder, "reviews") == [(40, "early"), (80, "late")]
    assert [event.step for event in board(folder).Tensors("weights/head")] == [40, 80]
    assert {name.rpartition(".")[2] for name in events_files(store)} == {"000003"}


def test_tensorboard_that_runs_meanwhile_sees_no_point_twice(tmp_path):
    store = open_store(str(tmp_path))
    first = open_writers(store)
    for step, loss in ((10, 0.5), (20, 9.0)):
        first.write("train", step, {"loss": loss})
    first.close(finished=False)
    running = board(tmp_path / "tensorboard/train")
    resumed = open_writers(store, bytes(first.lines).splitlines(keepends=True)[0])
    resumed.write("train", 20, {"loss": 0.25})
    resumed.close()
    running.Reload()
    assert [(event.step, event.value) for event in running.Scalars("loss")] == [
        (10, 0.5),
        (20, 0.25),
    ]


def test_layout_of_an_earlier_version_is_replaced(store):
    store.write("tensorboard/events.out.tfevents.000000", b"all kinds in one file")
    line = {"kind": "train", "step": 10, "loss": 0.5}
    open_writers(store, json.dumps(line).encode() + b"\n").close()
    kinds = ("epoch", "test", "train", "validation")
    assert events_files(store) == [
        f"tensorboard/{kind}/events.out.tfevents.000001" for kind in kinds
    ]


def test_file_that_another_program_put_there_is_kept(store):
    store.write("tensorboard/notes/events.out.tfevents.1700000000.host.1.0.v2", b"")
    open_writers(store).close()
    assert "tensorboard/notes/events.out.tfevents.1700000000.host.1.0.v2" in events_files(store)


def test_damaged_older_file_costs_only_its_texts(tmp_path):
    store = open_store(str(tmp_path))
    first = open_writers(store)
    first.write("validation", 40, {"loss": 0.5}, [Text("reviews", "early")])
    first.close()
    name = "tensorboard/validation/events.out.tfevents.000001"
    store.write(name, store.read(name)[:30])
    open_writers(store, bytes(first.lines)).close()
    assert points(tmp_path / "tensorboard/validation", "loss") == [(40, 0.5)]


def test_histogram_has_the_plugins_rows(tmp_path):
    writers = open_writers(open_store(str(tmp_path)))
    writers.write("epoch", 40, {}, [HISTOGRAM])
    writers.close()
    tensors = board(tmp_path / "tensorboard/epoch").Tensors("weights/head")
    rows = tensor_util.make_ndarray(tensors[0].tensor_proto)
    assert rows.tolist() == [[0, 1, 4], [1, 3, 6]]


def test_folder_can_be_chosen(tmp_path):
    store = open_store(str(tmp_path))
    writers = open_writers(store, tensorboard_dir="logs")
    writers.write("train", 10, {"loss": 0.5})
    writers.close()
    assert points(tmp_path / "logs/train", "loss") == [(10, 0.5)]
    assert store.list("tensorboard/") == []


def test_closing_ends_the_threads_of_a_bucket(cloud, tmp_path):
    others = set(threading.enumerate())
    writers = open_writers(open_store(f"gs://bucket/{tmp_path.name}"))
    writers.close(seconds=10)
    assert "log" not in {thread.name for thread in set(threading.enumerate()) - others}


def test_embedding_is_beside_the_events_of_its_kind(store):
    writers = open_writers(store)
    vectors = np.array([[0.5, -1.0], [2.0, 3.0]], np.float32)
    writers.write("test", 40, {}, [Embedding(("a", "b\tc"), vectors)])
    writers.close()
    assert store.read("tensorboard/test/vocabulary.tsv") == b"0.5\t-1\n2\t3\n"
    assert store.read("tensorboard/test/vocabulary_metadata.tsv") == b"token\tid\na\t0\nb\\tc\t1\n"


def test_infinite_number_is_left_out(tmp_path):
    writers = open_writers(open_store(str(tmp_path)))
    writers.write("train", 10, {"gradient_norm": float("inf"), "loss": 0.5})
    writers.close()
    assert board(tmp_path / "tensorboard/train").Tags()["scalars"] == ["loss"]
