"""Run with `python -m pytest tests/input_pipeline/sources/files_test.py`."""

import json
import logging

import pytest

from storage.errors import UserError
from tests.input_pipeline.sources.reading import complaint, open_source, read

FOLDERS = {
    "train/pos/1.txt": "Fine.",
    "train/pos/2.txt": "Very fine.",
    "train/neg/1.txt": "Bad,\nreally.",
    "test/pos/1.txt": "Good.",
    "test/neg/1.txt": "Boring.",
}


def write(folder, files):
    """Writes {path: text or bytes} below a folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(data)


def read_files(path, split="train", **options):
    return read(f"files:{path}", split, **options)


def test_folders_are_read_split_by_split(tmp_path):
    write(tmp_path, FOLDERS)
    assert read_files(tmp_path) == [
        ("Bad,\nreally.", "neg"),
        ("Fine.", "pos"),
        ("Very fine.", "pos"),
    ]
    assert read_files(tmp_path, "test") == [("Boring.", "neg"), ("Good.", "pos")]


def test_order_of_files_is_that_of_their_names(tmp_path):
    names = ["10", "2", "b", "a", "1"]
    write(
        tmp_path, {f"train/{label}/{name}.txt": name for label in ("pos", "neg") for name in names}
    )
    assert [text for text, _ in read_files(tmp_path)] == sorted(names) * 2


def test_relative_path_is_below_the_data_folder(tmp_path):
    write(tmp_path, {f"mine/{name}": text for name, text in FOLDERS.items()})
    assert read("files:mine", "test", folder=str(tmp_path)) == [
        ("Boring.", "neg"),
        ("Good.", "pos"),
    ]


def test_folder_without_splits_gives_a_fixed_tenth_as_test(tmp_path):
    write(tmp_path, {f"{'pos' if i % 2 else 'neg'}/{i}.txt": f"{i}" for i in range(40)})
    train, test = read_files(tmp_path), read_files(tmp_path, "test")
    assert (len(train), len(test)) == (36, 4)
    assert {int(text) for text, _ in train + test} == set(range(40))
    assert all(("neg", "pos")[int(text) % 2] == label for text, label in train + test)
    assert read_files(tmp_path, "test") == test


def test_file_without_splits_gives_a_fixed_tenth_as_test(tmp_path):
    write(tmp_path, {"all.csv": "text,label\n" + "".join(f"{i},{i % 2}\n" for i in range(30))})
    train, test = (read_files(tmp_path / "all.csv", split) for split in ("train", "test"))
    assert (len(train), len(test)) == (27, 3)
    assert sorted(int(text) for text, _ in train + test) == list(range(30))


def test_unknown_split_of_a_set_without_splits_is_refused(tmp_path):
    write(tmp_path, {"pos/1.txt": "Fine.", "neg/1.txt": "Bad."})
    line = complaint(read_files, tmp_path, "dev")
    assert "'dev'" in line
    assert "'train' and 'test'" in line


def test_csv_may_quote_commas_quotes_and_newlines(tmp_path):
    write(tmp_path, {"train.csv": 'text,label\n"Fine, a ""film"".\nGo.",1\nBad.,0\n'})
    assert read_files(tmp_path) == [('Fine, a "film".\nGo.', "1"), ("Bad.", "0")]


def test_csv_columns_may_have_any_order(tmp_path):
    write(tmp_path, {"train.csv": "id,label,text\r\n7,1,Fine.\r\n8,0,Bad.\r\n"})
    assert read_files(tmp_path) == [("Fine.", "1"), ("Bad.", "0")]


def test_csv_may_begin_with_a_byte_order_mark(tmp_path):
    write(tmp_path, {"train.csv": "\ufefftext,label\nFine.,1\n"})
    assert read_files(tmp_path) == [("Fine.", "1")]


def test_csv_may_hold_a_very_long_review(tmp_path):
    write(tmp_path, {"train.csv": f"text,label\n{'fine ' * 50_000},1\n"})
    assert len(read_files(tmp_path)[0][0]) == 250_000


def test_jsonl_is_read(tmp_path):
    rows = [{"text": "Fine,\n\u6620\u753b.", "label": 1}, {"label": "neg", "text": "", "id": 3}]
    write(tmp_path, {"test.jsonl": "".join(json.dumps(row) + "\n" for row in rows)})
    assert read_files(tmp_path, "test") == [("Fine,\n\u6620\u753b.", "1"), ("", "neg")]


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ('"pos"', "pos"),
        ('" Very good\\t"', "Very good"),
        ("1", "1"),
        ("1.0", "1"),
        ("0.5", "0.5"),
        ("true", "true"),
    ],
)
def test_label_of_json_is_a_name(tmp_path, label, expected):
    write(tmp_path, {"train.jsonl": f'{{"text": "A film.", "label": {label}}}\n'})
    assert read_files(tmp_path) == [("A film.", expected)]


@pytest.mark.parametrize(
    ("name", "content", "line", "label"),
    [
        ("train.csv", 'text,label\n"Fine,\nfine.",1\nSo-so.,\n', 4, "''"),
        ("train.csv", 'text,label\nFine.,1\n\nSo-so.," "\n', 4, "' '"),
        ("train.csv", 'text,label\nFine.,"so\nso"\n', 2, r"'so\nso'"),
        ("train.jsonl", '{"text": "Fine.", "label": 1}\n{"text": "", "label": null}\n', 2, "None"),
        ("train.jsonl", '{"text": "Fine.", "label": ["pos"]}\n', 1, "['pos']"),
    ],
    ids=["empty", "blank", "line break", "null", "list"],
)
def test_label_that_is_no_name_is_refused_with_its_line(tmp_path, name, content, line, label):
    write(tmp_path, {name: content})
    message = complaint(read_files, tmp_path)
    assert f"{tmp_path / name}, line {line}: got the label {label}" in message


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"train.csv": b"text,label\nFine.,1\nBad \xff.,0\n"}, 3),
        ({"train.csv": b'text,label\n"Fine,\nfine \xe9",1\nBad.,0\n'}, 3),
        ({"train.jsonl": b'{"text": "", "label": 1}\n{"text": "\xff", "label": 1}\n'}, 2),
        ({"train/pos/1.txt": b"Fine,\nfine,\nfine \xff", "train/neg/1.txt": "Bad."}, 3),
    ],
    ids=["csv", "csv with a line break", "jsonl", "folder"],
)
def test_bytes_that_are_not_utf8_are_refused_with_file_and_line(tmp_path, content, line):
    write(tmp_path, content)
    message = complaint(read_files, tmp_path)
    assert str(tmp_path / next(iter(content))) in message
    assert f"line {line}: not UTF-8" in message
    assert "--config.data.on_bad_text=skip" in message


def test_bytes_that_are_not_utf8_may_be_skipped_and_are_counted(tmp_path, caplog):
    write(tmp_path, {"train.csv": b"text,label\n\xff,1\nFine.,1\n\xfe,0\n"})
    with caplog.at_level(logging.WARNING):
        assert read_files(tmp_path, on_bad_text="skip") == [("Fine.", "1")]
    assert "skipped 2 reviews" in caplog.text


def test_nothing_left_after_skipping_is_an_empty_split(tmp_path):
    write(tmp_path, {"train.csv": b"text,label\n\xff,1\n"})
    message = complaint(read_files, tmp_path, on_bad_text="skip")
    assert "'train' has no reviews" in message


@pytest.mark.parametrize("header", ["", "text", "review,label", "text;label", "Text,Label"])
def test_csv_without_the_columns_is_refused(tmp_path, header):
    write(tmp_path, {"train.csv": f"{header}\nFine.,1\n" if header else ""})
    message = complaint(read_files, tmp_path)
    assert str(tmp_path / "train.csv") in message
    assert "'text' and 'label' are needed" in message


def test_csv_row_that_is_too_short_is_refused(tmp_path):
    write(tmp_path, {"train.csv": "label,text\n1,Fine.\n0\n"})
    assert f"{tmp_path / 'train.csv'}, line 3: no text" in complaint(read_files, tmp_path)


@pytest.mark.parametrize(
    "line",
    ["{", '{"text": "Fine."}', '{"label": 1}', '["Fine.", 1]', '"Fine."', "7", "null", "Fine.,1"],
)
def test_malformed_json_line_is_refused_with_its_number(tmp_path, line):
    write(tmp_path, {"train.jsonl": f'{{"text": "Fine.", "label": 1}}\n{line}\n'})
    message = complaint(read_files, tmp_path)
    assert f"{tmp_path / 'train.jsonl'}, line 2: expected a JSON object" in message
    assert "'text' and 'label'" in message


def test_json_text_that_is_not_a_string_is_refused(tmp_path):
    write(tmp_path, {"train.jsonl": '{"text": ["Fine."], "label": 1}\n'})
    assert "line 1: no text" in complaint(read_files, tmp_path)


@pytest.mark.parametrize(
    "name", ["train.csv", "train.jsonl", "train/pos/readme.md"], ids=["csv", "jsonl", "folder"]
)
def test_empty_split_is_refused(tmp_path, name):
    write(tmp_path, {name: "text,label\n" if name.endswith("csv") else ""})
    (tmp_path / "train" / "neg").mkdir(parents=True, exist_ok=True)
    assert "'train' has no reviews" in complaint(read_files, tmp_path)


def test_missing_path_is_refused_with_what_to_do(tmp_path):
    message = complaint(read_files, tmp_path / "missing")
    assert f"{tmp_path / 'missing'} does not exist" in message
    assert "--config=configs/sample.py" in message


@pytest.mark.parametrize("ask", ["batches", "fingerprint"])
def test_unknown_split_is_refused_with_the_layout(tmp_path, ask):
    write(tmp_path, FOLDERS)
    source = open_source(f"files:{tmp_path}")
    message = complaint(lambda: list(getattr(source, ask)("dev")))
    assert f"{tmp_path} has no split 'dev'" in message
    assert "pos/ and neg/" in message


def test_file_of_another_kind_is_refused(tmp_path):
    write(tmp_path, {"reviews.tsv": "Fine.\t1\n"})
    assert "neither in .csv nor in .jsonl" in complaint(read_files, tmp_path / "reviews.tsv")


def test_fingerprint_of_files_stays_the_same(tmp_path):
    write(tmp_path, FOLDERS)
    one, other = (open_source(f"files:{tmp_path}") for _ in range(2))
    assert one.fingerprint("train") == other.fingerprint("train")
    assert one.fingerprint("train") != one.fingerprint("test")


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "pos/2.txt").write_text("Not so very fine."),
        lambda folder: (folder / "pos/2.txt").unlink(),
        lambda folder: (folder / "pos/4.txt").write_text("Fine."),
        lambda folder: (folder / "pos/2.txt").rename(folder / "neg/2.txt"),
        lambda folder: (folder / "pos/2.txt").rename(folder / "pos/0.txt"),
    ],
    ids=["changed", "deleted", "added", "moved to the other label", "renamed"],
)
def test_fingerprint_of_files_changes_with_them(tmp_path, change):
    names = ("neg/1", "pos/2", "pos/3")
    write(tmp_path, {f"train/{name}.txt": name for name in names})
    source = open_source(f"files:{tmp_path}")
    before = source.fingerprint("train")
    change(tmp_path / "train")
    assert source.fingerprint("train") != before


def test_fingerprint_of_files_changes_with_on_bad_text(tmp_path):
    write(tmp_path, FOLDERS)
    fail, skip = (open_source(f"files:{tmp_path}", on_bad_text=what) for what in ("fail", "skip"))
    assert fail.fingerprint("train") != skip.fingerprint("train")


def test_csv_with_an_unclosed_quote_is_refused(tmp_path):
    write(tmp_path, {"train.csv": 'text,label\nFine.,1\n"Bad.,0\nBad.,0\n'})
    with pytest.raises(UserError, match=r"train\.csv, line"):
        read_files(tmp_path, "train")


def test_file_that_can_not_be_read_is_named(tmp_path):
    for label in ("pos", "neg"):
        write(tmp_path, {f"train/{label}/1.txt": "Fine."})
    (tmp_path / "train/pos/2.txt").mkdir()
    with pytest.raises(UserError, match=r"2\.txt: Is a directory"):
        read_files(tmp_path, "train")
