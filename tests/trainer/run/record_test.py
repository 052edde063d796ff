"""A run as its workdir shows it, without TensorFlow."""

import math
from pathlib import Path

import pytest

from storage.errors import UserError
from storage.store import open_store
from tests.trainer.modes.runs import STEPS
from tests.trainer.run.results import results_of
from trainer.run import test_results
from trainer.run.record import read_record

VERSION_0_1 = Path(__file__).parents[2] / "data" / "version_0_1"


def record_of(folder):
    return read_record(open_store(str(folder)))


def test_record_has_what_the_run_left(finished):
    record = record_of(finished)
    assert record.labels.names == ("negative", "positive")
    assert record.tokens[:2] == ("<pad>", "<unk>")
    assert [line.step for line in record.of_kind("epoch")] == [STEPS // 2, STEPS]
    assert math.isclose(sum(record.of_kind("epoch")[-1].time.values()), 1.0)
    assert record.test.value("checkpoint") == record.best.step
    scores = [line.value("accuracy") for line in record.of_kind("validation")]
    assert (record.score, record.best.value("accuracy")) == ("accuracy", max(scores))


@pytest.mark.parametrize(("name", "is_tested"), [("finished", True), ("stopped", False)])
def test_run_of_version_0_1_has_what_it_wrote(name, is_tested):
    record = record_of(VERSION_0_1 / name)
    assert record.results is None
    assert (record.test is not None) == is_tested
    assert {line.start for line in record.lines} == {None}
    assert record.labels.names == ("negative", "positive")


def test_run_that_has_just_begun_has_no_lines(workdir):
    for name in ("metrics.jsonl", "vocabulary.txt", "test_results.npz"):
        (workdir / name).unlink(missing_ok=True)
    record = record_of(workdir)
    assert (record.lines, record.tokens, record.test, record.best) == ([], None, None, None)


def test_value_that_was_not_finite_is_nan(workdir):
    line = '{"kind": "train", "step": 1, "loss": null, "start": null, "time": {"start": 0.5}}\n'
    (workdir / "metrics.jsonl").write_text(line)
    (read,) = record_of(workdir).lines
    assert math.isnan(read.value("loss"))
    assert (read.start, read.time) == (None, {"start": 0.5})


def test_line_that_is_being_written_is_left_out(workdir):
    (workdir / "metrics.jsonl").write_text('{"kind": "train", "step": 1}\n{"kind": "tr')
    assert [line.step for line in record_of(workdir).lines] == [1]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[]",
        "no JSON",
        '{"step": 1}',
        '{"kind": "train"}',
        '{"kind": 3, "step": 1}',
        '{"kind": "train", "step": "one"}',
        '{"kind": "train", "step": 1.5}',
        '{"kind": "train", "step": Infinity}',
        '{"kind": "train", "step": NaN}',
        '{"kind": "train", "step": -1}',
        '{"kind": "train", "step": 1, "time": 3}',
        '{"kind": "train", "step": 1, "loss": 1' + "0" * 400 + "}",
    ],
)
def test_damaged_line_is_named_by_its_number(line, workdir):
    (workdir / "metrics.jsonl").write_text(f'{{"kind": "train", "step": 1}}\n{line}\n')
    with pytest.raises(UserError, match=r"run/metrics.jsonl, line 2: can't be read \("):
        record_of(workdir)


@pytest.mark.parametrize(
    ("name", "content"),
    [("vocabulary.txt", b"film\n"), ("labels.txt", b"one\n"), ("test_results.npz", b"x")],
)
def test_damaged_file_is_named(name, content, workdir):
    (workdir / name).write_bytes(content)
    with pytest.raises(UserError, match=f"run/{name}: "):
        record_of(workdir)


@pytest.mark.parametrize("file", ["labels.txt", "vocabulary.txt"])
def test_results_of_another_run_are_refused(file, workdir):
    (workdir / "test_results.npz").write_bytes(test_results.to_bytes(results_of()))
    assert record_of(workdir).results is not None
    other = {"labels.txt": "a\nb\nc\n", "vocabulary.txt": "<pad>\n<unk>\nfilm\n"}[file]
    (workdir / file).write_text(other)
    with pytest.raises(UserError, match=r"run/test_results\.npz: of another run"):
        record_of(workdir)
