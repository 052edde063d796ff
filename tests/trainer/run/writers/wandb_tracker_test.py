"""A run that stops and resumes, as W&B's client keeps it in files or sends it to a server."""

import json
import struct

import pytest

from tests.trainer.run.writers.tracked import run_starts
from tests.trainer.run.writers.wandb_server import WandbServer

pytest.importorskip("wandb", reason="needs the extra wandb")
_BLOCK, _HEADER = 32_768, 7  # bytes; the file is a log in LevelDB's format
_FULL, _LAST = 1, 4  # kinds of fragments that end a record
ROWS = [
    {"step": 10, "train/step": 10, "train/loss": 0.5},
    {"step": 20, "train/step": 20, "train/loss": 0.25},
    {"step": 20, "validation/step": 20, "validation/loss": 0.75, "validation/accuracy": 0.875},
    {"step": 20, "test/step": 20, "test/accuracy": 0.8125},
]


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


def test_newest_start_has_every_line_once(starts):
    assert [values(row.item) for row in contents(starts[-1], "history")] == ROWS


def test_stopped_run_is_marked_as_preempted_and_a_complete_one_as_finished(starts):
    stopped, finished = starts
    assert contents(stopped, "preempting")
    assert not contents(finished, "preempting")
    codes = [contents(start, "exit")[0].exit_code for start in starts]
    assert codes == [75, 0]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Returns a server that both starts of a run have sent to."""
    folder = tmp_path_factory.mktemp("wandb")
    with WandbServer() as server:
        variables = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": "0" * 40, "WANDB_DIR": folder}
        run_starts("wandb", folder / "imdb", "stop", "resume", **variables)
    return server


def test_server_gets_every_line_once_in_the_same_run(server):
    assert len(set(server.runs)) == 1
    rows = [{name: v for name, v in row.items() if name[0] != "_"} for row in server.history]
    assert rows == ROWS
    assert server.states == ["preempting", 75, 0]


def test_nothing_of_the_working_tree_is_sent(server):
    assert not any(sent.get("commit") or sent.get("repo") for sent in server.sent)
