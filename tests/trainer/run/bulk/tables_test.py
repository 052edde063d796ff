"""Files of every format: their rows, and what is written with predictions."""

import csv
import itertools
import json

import pyarrow
import pytest
from pyarrow import parquet

from input_pipeline.sources.formats import csv_file
from input_pipeline.sources.formats.row import Columns
from tests.input_pipeline.sources.reading import complaint
from trainer.run.bulk.formats import open_table
from trainer.run.bulk.table import Prediction

ANSWERS = [Prediction("pos", 0.98765432), Prediction("neg", 1e-9), Prediction("très bien", 0.5)]
CSV = "predicted_label,probability"


def table_of(tmp_path, name, content, text="text"):
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return open_table(file, text)


def written(tmp_path, table, count):
    """Returns the bytes of the output with `count` predictions."""
    output = tmp_path / "output"
    table.write(output, iter(ANSWERS[:count]))
    return output.read_bytes()


def faults(table):
    return [(row.where.rpartition("/")[2], row.fault) for row in table.rows() if row.fault]


def texts(table):
    return [row.text for row in table.rows() if not row.fault]


def test_csv_keeps_its_columns_and_gets_two(tmp_path):
    table = table_of(tmp_path, "a.csv", ',text,stars\n0,"Fine, a ""film"".\nGo.",05\n1,Bad,1e3\n')
    assert texts(table) == ['Fine, a "film".\nGo.', "Bad"]
    assert written(tmp_path, table, 2).decode() == (
        f',text,stars,{CSV}\n0,"Fine, a ""film"".\nGo.",05,pos,0.9876543\n1,Bad,1e3,neg,0.0000000\n'
    )


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_csv_keeps_line_ends_and_byte_order_mark(tmp_path, end, mark):
    table = table_of(tmp_path, "a.csv", f'{mark}text{end}"a\n\nb"{end}{end}c{end}')
    expected = f'{mark}text,{CSV}{end}"a\n\nb",pos,0.9876543{end}c,neg,0.0000000{end}'
    assert written(tmp_path, table, 2).decode() == expected


NASTY = ['"', "a\rb", "\r", "\n", "a\0b", " a ", "", "x" * 200_000, "\x85é✨", "\u2028", "'", ";"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_any_csv_text_is_read_again_from_the_output(tmp_path, end):
    with (tmp_path / "a.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator=end)
        writer.writerows([["text", "id"], *([text, "7"] for text in NASTY)])
    table = open_table(tmp_path / "a.csv", "text")
    assert texts(table) == NASTY
    table.write(tmp_path / "b.csv", itertools.repeat(ANSWERS[0], len(NASTY)))
    again = list(csv_file.read(tmp_path / "b.csv", Columns("text", "predicted_label")))
    assert [(row.text, row.label) for row in again] == [(text, "pos") for text in NASTY]


def test_bad_csv_rows_are_named_and_left_out(tmp_path):
    content = b'id,text,\n0,Fine\n1,Slow, long\n2\n3,"caf\xe9\n"\n\xe9,Good\n5,So-so,,,\n'
    table = table_of(tmp_path, "a.csv", content)
    assert faults(table) == [
        ("a.csv, line 3", "column 3 has a value but no name in the header; name the column or "
                          "remove the value"),
        ("a.csv, line 4", "1 field, the header has 2; put quotes around a text with commas"),
        ("a.csv, line 5", "not UTF-8; convert the file"),
        ("a.csv, line 7", "not UTF-8; convert the file"),
    ]  # fmt: skip
    assert written(tmp_path, table, 2).decode() == (
        f"id,text,{CSV}\n0,Fine,pos,0.9876543\n5,So-so,neg,0.0000000\n"
    )


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "a.csv: is empty; the first line must hold the column names"),
        ("id,review\n1,Fine\n", "a.csv: has the columns 'id', 'review', but 'text' is needed; name "
                               "yours with --text_column=NAME; the first line must hold"),
        ("text,label,label\n", "a.csv: two columns are named 'label'; rename one"),
        ("text,probability\n", "a.csv: has 'probability' among its columns, which the output gets"),
        ("text;label\n", "separate columns with commas"),
        (b"text,pr\xe9nom\n", "a.csv: the name of a column is not UTF-8; convert the file"),
        ("text\nx\n".encode("utf-16"), "not UTF-8 (it looks like UTF-16); convert it"),
        (b"\x1f\x8b\x08", "compressed with gzip; unpack it"),
    ],
)  # fmt: skip
def test_csv_file_that_is_no_table_is_refused(tmp_path, content, fault):
    assert fault in complaint(table_of, tmp_path, "a.csv", content)


@pytest.mark.parametrize("content", ['text\nFine\n"Bad\nSo\n', 'text\n"It is \\"fine\\" so."\n'])
def test_quotes_that_hide_where_a_row_ends_are_refused(tmp_path, content):
    assert "close each quoted text" in complaint(list, table_of(tmp_path, "a.csv", content).rows())


LINES = [
    '{"text":"Fine","id":12345678901234567890123,"x":1.10,"y":1e400,"z":[{}]}',
    '  { "text" : "B\\u00e9d \\ud83d\\ude00", "b": true }  ',
    '{"text": "", "s": "\\ud800", "n": null}',
]
ADDED = [
    '"predicted_label": "pos", "probability": 0.9876543}',
    '"predicted_label": "neg", "probability": 0.0000000}',
    '"predicted_label": "très bien", "probability": 0.5000000}',
]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_jsonl_keeps_its_lines_to_the_letter(tmp_path, end):
    table = table_of(tmp_path, "a.jsonl", "\ufeff" + f"{end}{end}".join(LINES))
    assert texts(table) == ["Fine", "Béd 😀", ""]
    output = written(tmp_path, table, 3).decode()
    bodies = [line.rstrip().removesuffix("}").rstrip() for line in LINES]
    expected = [f"{body}, {added}\n" for body, added in zip(bodies, ADDED, strict=True)]
    assert output == "".join(expected)
    for before, after in zip(LINES, output.splitlines(), strict=True):
        kept = json.loads(after)
        del kept["predicted_label"], kept["probability"]
        assert kept == json.loads(before)


def test_bad_jsonl_lines_are_named_and_left_out(tmp_path):
    bad = [
        (b"{", "no JSON (Expecting property name enclosed in double quotes at character"),
        (b'["Fine"]', "expected a JSON object, got a list"),
        (b'{"review": "x"}', "has the keys 'review', but 'text' is needed; name yours with"),
        (b"{}", "has the keys (none), but 'text' is needed"),
        (b'{"text": null}', "no text, 'text' is null; repair the line"),
        (b'{"text": ["a"]}', "no text, 'text' is a list"),
        (b'{"text": 1}', "no text, 'text' is a number"),
        (b'{"text": "\\ud800"}', "half of a surrogate pair in the text"),
        (b'{"text": "\xff"}', "not UTF-8; convert the file"),
        (b'{"text": "a", "b": "\xff"}', "not UTF-8; convert the file"),
        (b'{"text": "a", "probability": 1}', "has 'probability' among its keys, which"),
        (b'{"text": "a", "text": "b"}', "the key 'text' occurs twice"),
        (b'{"text": "a", "n": ' + b"7" * 5000 + b"}", "a number of 5,000 digits is too long"),
        (b'{"text": "a", "n": ' + b"[" * 100_000, "brackets nested too deep"),
    ]
    content = b'{"text": "Fine"}\n' + b"\n".join(line for line, _ in bad) + b"\n\n"
    table = table_of(tmp_path, "a.jsonl", content)
    found = faults(table)
    assert [where for where, _ in found] == [f"a.jsonl, line {n}" for n in range(2, 2 + len(bad))]
    for (_, fault), (_, expected) in zip(found, bad, strict=True):
        assert fault.startswith(expected)
    assert written(tmp_path, table, 1).decode() == f'{{"text": "Fine", {ADDED[0]}\n'


def parquet_table(tmp_path, columns, text="text", **options):
    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet", **options)
    return open_table(tmp_path / "a.parquet", text)


@pytest.mark.parametrize(
    "kind", ["string", "large_string", "string_view", "binary", "large_binary", "dictionary"]
)
def test_parquet_keeps_its_schema_and_gets_two_columns(tmp_path, kind):
    column = pyarrow.array(["Fine", "Bad", ""])
    column = column.dictionary_encode() if kind == "dictionary" else column.cast(kind)
    columns = {"stars": pyarrow.array([5, None, 3], "int8"), "text": column}
    columns["when"] = pyarrow.array([1, 2, 3], pyarrow.timestamp("us", "UTC"))
    columns["tags"] = pyarrow.array([["a"], None, []])
    before = pyarrow.table(columns).replace_schema_metadata({"owner": "me"})
    parquet.write_table(before, tmp_path / "a.parquet", row_group_size=2)
    before = parquet.read_table(tmp_path / "a.parquet")  # which names list items as Parquet does
    table = open_table(tmp_path / "a.parquet", "text")
    assert texts(table) == ["Fine", "Bad", ""]
    table.write(tmp_path / "b.parquet", iter(ANSWERS))
    after = parquet.read_table(tmp_path / "b.parquet")
    assert after.select(before.column_names).equals(before, check_metadata=True)
    assert after.column_names[-2:] == ["predicted_label", "probability"]
    assert after.column("predicted_label").to_pylist() == ["pos", "neg", "très bien"]
    assert after.column("probability").to_pylist() == pytest.approx([0.98765432, 1e-9, 0.5])


def test_bad_parquet_rows_are_named_and_left_out(tmp_path):
    text = pyarrow.array([b"Fine", b"\xff", None, b"Bad"]).view("string")
    table = parquet_table(tmp_path, {"text": text, "id": [1, 2, 3, 4]})
    assert faults(table) == [
        ("a.parquet, row 2", "not UTF-8; convert the file"),
        ("a.parquet, row 3", "no text, 'text' is null; remove or repair the row"),
    ]
    table.write(tmp_path / "b.parquet", iter(ANSWERS[:2]))
    assert parquet.read_table(tmp_path / "b.parquet").column("id").to_pylist() == [1, 4]


def test_parquet_output_has_no_rows_of_a_part_that_is_bad(tmp_path):
    table = parquet_table(tmp_path, {"text": [None] * 9000 + ["Fine"]})
    table.write(tmp_path / "b.parquet", iter(ANSWERS[:1]))
    assert parquet.read_table(tmp_path / "b.parquet").column("text").to_pylist() == ["Fine"]


def test_parquet_file_that_is_no_table_is_refused(tmp_path):
    assert "no intact Parquet file" in complaint(table_of, tmp_path, "a.parquet", "text\n")
    table = parquet_table(tmp_path, {"text": [1, 2]})
    assert faults(table)[0] == (
        "a.parquet, row 1", "no text, 'text' is of type int; remove or repair the row"
    )  # fmt: skip
    fault = complaint(parquet_table, tmp_path, {"review": ["x"]})
    assert "has the columns 'review', but 'text' is needed" in fault


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_file_without_rows_gives_an_output_without_rows(tmp_path, name):
    if name == "a.parquet":
        table = parquet_table(tmp_path, {"text": pyarrow.array([], "string")})
    else:
        table = table_of(tmp_path, name, "text\n" if name == "a.csv" else "\n")
    assert list(table.rows()) == []
    table.write(tmp_path / f"b{name}", iter([]))
    assert (tmp_path / f"b{name}").exists()
