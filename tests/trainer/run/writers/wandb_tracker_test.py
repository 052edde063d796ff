"""A run that stops and resumes, as W&B keeps it in its files when it is offline."""

import json
import struct

import pytest

from tests.trainer.run.writers.tracked import run_starts

pytest.importorskip("wandb", reason="needs the extra wandb")
_BLOCK, _HEADER = 32_768, 7  # bytes; the file is a log in LevelDB's format
_FULL, _LAST = 1, 4  # kinds of fragments that end a record


def records(path):
    """Returns kind and content of W&B's records in a file."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, position, whole, found = path.read_bytes(), _HEADER, b"", []
    while position + _HEADER <= len(data):
        if _BLOCK - position % _BLOCK < _HEADER:
            position += _BLOCK - position % _BLOCK
        _, size, kind = struct.unpack_from("<IHB", data, position)
        position += _HEADER + size
        whole += data[position - size : position]
        if kind in (_FULL, _LAST):
            record, whole = Record.FromString(whole), b""
            name = record.WhichOneof("record_type")
            found.append((name, getattr(record, name)))
    return found


def values(items):
    """Returns the values of a record's items, without W&B's own."""
    named = {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}
    return {name: value for name, value in named.items() if not name.startswith("_")}


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    return tmp_path_factory.mktemp("runs") / "imdb"


@pytest.fixture(scope="module")
def starts(workdir, tmp_path_factory):
    """Returns the records of the two starts of a run."""
    found = []
    for start in ("stop", "resume"):
        folder = tmp_path_factory.mktemp("wandb")
        run_starts("wandb", workdir, start, WANDB_MODE="offline", WANDB_DIR=folder)
        (file,) = folder.glob("wandb/offline-run-*/*.wandb")
        found.append(records(file))
    return found


def contents(start, kind):
    return [content for name, content in start if name == kind]


def test_every_start_continues_the_same_run(starts, workdir):
    runs = [contents(start, "run")[0] for start in starts]
    run_id = (workdir / "tracking/wandb").read_text().strip()
    assert [run.run_id for run in runs] == [run_id, run_id]
    assert {(run.project, run.display_name) for run in runs} == {("longhaul", "imdb")}
    assert values(runs[0].config.update)["model.layer_sizes"] == "128, 64"


def test_newest_start_has_every_point_once(starts):
    history = contents(starts[-1], "history")
    assert [(row.step.num, values(row.item)) for row in history] == [
        (10, {"train/loss": 0.5}),
        (20, {"train/loss": 0.25, "validation/loss": 0.75, "validation/accuracy": 0.875}),
    ]


def test_result_of_the_test_is_in_the_summary(starts):
    changes = [values(record.update) for record in contents(starts[-1], "summary")]
    assert {"test/accuracy": 0.8125} in changes


def test_stopped_run_is_marked_as_preempted_and_a_complete_one_as_finished(starts):
    stopped, finished = starts
    assert contents(stopped, "preempting")
    assert not contents(finished, "preempting")
    codes = [contents(start, "exit")[0].exit_code for start in starts]
    assert codes == [75, 0]
