"""Run with `python -m pytest tests/input_pipeline/sources/formats/csv_file_test.py`."""

import pytest

from tests.input_pipeline.sources.reading import complaint, read_files, write


def test_quoted_text_may_have_commas_quotes_and_line_breaks(tmp_path):
    write(tmp_path, {"train.csv": 'text,label\n"Fine, a ""film"".\nGo.",1\n\nBad.,0\n'})
    assert read_files(tmp_path) == [('Fine, a "film".\nGo.', "1"), ("Bad.", "0")]


def test_columns_may_have_any_order_and_other_names(tmp_path):
    write(tmp_path, {"train.csv": "id,label,text\r\n7,1,Fine.\r\n8,0,Bad.\r\n"})
    assert read_files(tmp_path) == [("Fine.", "1"), ("Bad.", "0")]
    assert read_files(tmp_path, text_column="label", label_column="id") == [("1", "7"), ("0", "8")]


def test_file_may_begin_with_a_byte_order_mark(tmp_path):
    write(tmp_path, {"train.csv": "\ufefftext,label\nFine.,1\n"})
    assert read_files(tmp_path) == [("Fine.", "1")]


def test_review_may_be_very_long(tmp_path):
    write(tmp_path, {"train.csv": f"text,label\n{'fine ' * 50_000},1\n"})
    assert len(read_files(tmp_path)[0][0]) == 250_000


def test_nul_stays_in_the_text(tmp_path):
    write(tmp_path, {"train.csv": 'text,label\nA\0fine film.,1\n"\0Bad,\0",0\n'})
    assert read_files(tmp_path) == [("A\0fine film.", "1"), ("\0Bad,\0", "0")]


def test_empty_fields_may_follow_the_row_and_the_header(tmp_path):
    write(tmp_path, {"train.csv": "text,label,,\nFine.,1,,,\nBad.,0\n"})
    assert read_files(tmp_path) == [("Fine.", "1"), ("Bad.", "0")]


COMMAS = "the header has 2; put quotes around a text with commas"


@pytest.mark.parametrize(
    ("content", "line", "fault"),
    [
        ("label,text\n1,Fine.\n0,Slow, long, bad.\n", 3, f"4 fields, {COMMAS}"),
        ('text,label\n"A\nfilm.",1\n"A\n\nB",1,,0\n', 4, f"4 fields, {COMMAS}"),
        ("label,text\n1,Fine.\n\n0\n", 4, f"1 field, {COMMAS}"),
        ('text,label\n"A\nfilm.",1\n"It is\n\\"fine\\" so.",1\n', 4, 'twice ("" and not \\")'),
        ('text,label\nFine.,1\n"Bad.,0\nBad.,0\n', 3, "close each quoted text"),
        ('text,label\n"Fine,\nfine.",1\nSo-so.,\n', 4, "got the label ''"),
        ('text,label\n\nFine.," "\n', 3, "got the label ' '"),
        ('text,label\nFine.,"so\nso"\n', 2, r"got the label 'so\nso'"),
        ("text,label,,\nA,1,,\nB,0,,note,x\n", 3, "column 4 has a value but no name in the header"),
        (f"label,text\n1,A\n{'x' * 5000},0\n", 3, "got a label of 5,000 characters, accepted are"),
        (b"text,label\nFine.,p\xff\n", 2, r"got the label 'p\udcff'"),
        (b'text,label\n"Fine,\nfine \xe9",1\nBad.,0\n', 3, "not UTF-8; convert the file, or skip"),
        (b'id,text,label\n"a\nb","Fine,\n\xe9",1\n', 4, "not UTF-8; convert the file, or skip"),
    ],
    ids=[
        "commas without quotes",
        "too many fields after line breaks",
        "too few fields",
        "backslash quotes",
        "open quote",
        "empty label",
        "blank label",
        "label with a line break",
        "value without a column",
        "text for a label",
        "label that is not UTF-8",
        "not UTF-8",
        "not UTF-8 after a field with a line break",
    ],
)
def test_row_that_can_not_be_used_is_refused_with_its_line(tmp_path, content, line, fault):
    write(tmp_path, {"train.csv": content})
    message = complaint(read_files, tmp_path)
    assert f"config.data.source: {tmp_path / 'train.csv'}, line {line}: " in message
    assert fault in message


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("text", "'text'"),
        ("review,label", "'review', 'label'"),
        ("Text, label", "'Text', ' label'"),
        ("1," + "A film. " * 50, "'1', '" + "A film. " * 7 + "A f..."),
        (",".join(f"c{i}" for i in range(30)), "'c18', 'c19' and 10 more"),
    ],
    ids=["one", "other", "capitals and spaces", "no header", "many"],
)
def test_missing_columns_are_refused_with_those_found(tmp_path, header, found):
    write(tmp_path, {"train.csv": f"{header}\nFine.,1\n"})
    message = complaint(read_files, tmp_path)
    assert f"{tmp_path / 'train.csv'}: has the columns '" in message
    assert f"{found}, but 'text' and 'label'" in message
    assert "--config.data.text_column=NAME and --config.data.label_column=NAME" in message
    assert "they are compared exactly, with case and spaces" in message


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ("", "is empty; the first line must hold the column names"),
        ("text;label", "the header has one column, 'text;label'; separate columns with commas"),
        ("text\tlabel", r"the header has one column, 'text\tlabel'; separate columns with commas"),
        ("sep=,", "begins with a note to Excel ('sep='), not with the column names; delete"),
        ("sep=;", "begins with a note to Excel ('sep='), not with the column names; delete"),
    ],
)
def test_first_line_that_is_no_header_is_refused(tmp_path, header, fault):
    write(tmp_path, {"train.csv": f"{header}\nFine.,1\n" if header else ""})
    assert f"{tmp_path / 'train.csv'}: {fault}" in complaint(read_files, tmp_path)


def test_two_columns_of_one_name_are_refused(tmp_path):
    write(tmp_path, {"train.csv": "text,label,label\nFine.,1,0\n"})
    assert "two columns are named 'label'" in complaint(read_files, tmp_path)
