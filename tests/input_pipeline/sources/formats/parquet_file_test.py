"""Run with `python -m pytest tests/input_pipeline/sources/formats/parquet_file_test.py`."""

import datetime
import sys
from decimal import Decimal

import pyarrow
import pytest
from pyarrow import parquet

from tests.input_pipeline.sources.reading import complaint, open_source, read_files, write

TEXTS = ["Fine.", "Bad.", "\0So-so."]


def write_table(folder, **columns):
    parquet.write_table(pyarrow.table(columns), folder / "train.parquet", row_group_size=2)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["pos", " neg", "pos"], ["pos", "neg", "pos"]),
        (pyarrow.array(["a", "b", "a"], pyarrow.large_string()), ["a", "b", "a"]),
        (pyarrow.array(["a", "b", "a"], pyarrow.string_view()), ["a", "b", "a"]),
        (pyarrow.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
        (pyarrow.array([7, 8, 7]).dictionary_encode(), ["7", "8", "7"]),
        (pyarrow.array([1, 0, 2], pyarrow.uint8()), ["1", "0", "2"]),
        ([1.0, 0.0, 2.5], ["1", "0", "2.5"]),
        ([Decimal("1.00"), Decimal("0.00"), Decimal("2.50")], ["1", "0", "2.5"]),
        ([True, False, True], ["true", "false", "true"]),
    ],
    ids=[
        "text",
        "large text",
        "view",
        "dictionary",
        "numbers' dictionary",
        "int",
        "float",
        "decimal",
        "bool",
    ],
)
def test_labels_of_any_type_become_names(tmp_path, labels, names):
    write_table(tmp_path, id=[1, 2, 3], label=labels, text=TEXTS)
    assert read_files(tmp_path) == list(zip(TEXTS, names, strict=True))


def test_columns_may_have_other_names(tmp_path):
    write_table(tmp_path, review=pyarrow.array(TEXTS).dictionary_encode(), stars=[1, 2, 3])
    options = {"text_column": "review", "label_column": "stars"}
    assert read_files(tmp_path, **options) == list(zip(TEXTS, "123", strict=True))
    message = complaint(read_files, tmp_path)
    assert "has the columns 'review', 'stars', but 'text' and 'label' are needed" in message


@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        ({"text": ["A", "B", None], "label": [1, 0, 1]}, "row 3: no text, 'text' is null"),
        ({"text": ["A", "B", "C"], "label": [1, 0, None]}, "row 3: got the label None"),
        ({"text": ["A"], "label": [float("nan")]}, "row 1: got the label nan"),
        ({"text": [3], "label": [1]}, "row 1: no text, 'text' is of type int"),
        ({"text": ["A"], "label": [[1]]}, "row 1: got the label [1]"),
        (
            {"text": ["A"], "label": [datetime.date(2020, 1, 2)]},
            "row 1: got the label datetime.date(2020, 1, 2), accepted is a text without line "
            "breaks and tabs, an integer, True/False or a finite number;",
        ),
        ({"text": pyarrow.array([b"\xff"]).view("string"), "label": [1]}, "row 1: not UTF-8"),
    ],
    ids=["null text", "null label", "nan", "text is a number", "list", "date", "not UTF-8"],
)
def test_row_that_can_not_be_used_is_refused_with_its_number(tmp_path, columns, fault):
    write_table(tmp_path, **columns)
    assert f"{tmp_path / 'train.parquet'}, {fault}" in complaint(read_files, tmp_path)


def test_two_columns_of_one_name_are_refused(tmp_path):
    table = pyarrow.table([["A"], [1], [0]], names=["text", "label", "label"])
    parquet.write_table(table, tmp_path / "train.parquet")
    assert "two columns are named 'label'" in complaint(read_files, tmp_path)


def test_damaged_file_is_refused(tmp_path):
    write_table(tmp_path, text=TEXTS, label=[1, 0, 1])
    content = (tmp_path / "train.parquet").read_bytes()
    for damaged in (b"", content[:-9], content[:4] + bytes(60) + content[64:]):
        write(tmp_path, {"train.parquet": damaged})
        assert f"{tmp_path / 'train.parquet'}: no intact" in complaint(read_files, tmp_path)


def test_missing_library_is_named_with_its_extra(tmp_path, monkeypatch):
    write_table(tmp_path, text=TEXTS, label=[1, 0, 1])
    source = open_source(f"files:{tmp_path}")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "pip install 'longhaul[parquet]'" in complaint(lambda: list(source.batches("train")))
