"""Run with `python -m pytest tests/input_pipeline/sources/files_test.py`."""

import logging
import os

import pyarrow
import pytest
from pyarrow import parquet

from tests.input_pipeline.sources.reading import complaint, open_source, read, read_files, write

FOLDERS = {
    "train/pos/1.txt": "Fine.",
    "train/pos/2.txt": "Very fine.",
    "train/neg/1.txt": "Bad,\nreally.",
    "test/pos/1.txt": "Good.",
    "test/neg/1.txt": "Boring.",
}
ROWS = "text,label\nFine.,1\nBad.,0\n"


def test_folders_are_read_split_by_split(tmp_path):
    write(tmp_path, FOLDERS)
    assert read_files(tmp_path) == [
        ("Bad,\nreally.", "neg"),
        ("Fine.", "pos"),
        ("Very fine.", "pos"),
    ]
    assert read_files(tmp_path, "test") == [("Boring.", "neg"), ("Good.", "pos")]


def test_splits_may_have_different_formats_and_endings_in_any_case(tmp_path):
    write(tmp_path, {"train.CSV": ROWS, "test.jsonl": '{"text": "Good.", "label": 1}\n'})
    assert read_files(tmp_path) == [("Fine.", "1"), ("Bad.", "0")]
    assert read_files(tmp_path, "test") == [("Good.", "1")]


def test_relative_path_is_below_the_data_folder(tmp_path):
    write(tmp_path, {f"mine/{name}": text for name, text in FOLDERS.items()})
    reviews = [("Boring.", "neg"), ("Good.", "pos")]
    assert read("files:mine", "test", folder=str(tmp_path)) == reviews


def test_folder_without_splits_gives_a_fixed_tenth_as_test(tmp_path):
    write(tmp_path, {f"{'abc'[i % 3]}/{i}.txt": f"{i}" for i in range(40)})
    train, test = read_files(tmp_path), read_files(tmp_path, "test")
    assert (len(train), len(test)) == (36, 4)
    assert {int(text) for text, _ in train + test} == set(range(40))
    assert all("abc"[int(text) % 3] == label for text, label in train + test)
    assert read_files(tmp_path, "test") == test


@pytest.mark.parametrize("on_bad_text", ["fail", "skip"])
def test_file_without_splits_gives_a_fixed_tenth_as_test(tmp_path, on_bad_text):
    rows = [f"{i},{i % 2}\n".encode() for i in range(30)]
    bad = [b"\xff,1\n"] * 10 if on_bad_text == "skip" else []
    write(tmp_path, {"My reviews.csv": b"".join([b"text,label\n", *bad, *rows])})
    train, test = (
        read_files(tmp_path / "My reviews.csv", split, on_bad_text=on_bad_text)
        for split in ("train", "test")
    )
    assert (len(train), len(test)) == (27, 3)
    assert sorted(int(text) for text, _ in train + test) == list(range(30))


def test_folder_with_nothing_but_a_file_is_that_file(tmp_path):
    write(
        tmp_path,
        {
            "set/My Reviews.csv": "text,label\n" + "a film,pos\nno film,neg\n" * 20,
            "set/.DS_Store": b"\0",
        },
    )
    for split in ("train", "test"):
        alone = read_files(tmp_path / "set" / "My Reviews.csv", split)
        assert alone
        assert read_files(tmp_path / "set", split) == alone


def test_unknown_split_of_a_set_without_splits_is_refused(tmp_path):
    write(tmp_path, {"pos/1.txt": "Fine.", "neg/1.txt": "Bad."})
    line = complaint(read_files, tmp_path, "dev")
    assert "config.data.test_split: got 'dev', accepted are 'train' and 'test'" in line


def test_bad_text_may_be_skipped_and_is_counted_once_per_run(tmp_path, caplog):
    write(tmp_path, {"train.csv": b"text,label\n\xff,1\nFine.,1\n\xfe,0\n"})
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert read_files(tmp_path, on_bad_text="skip") == [("Fine.", "1")]
    assert caplog.text.count("skipped 2 reviews that are not UTF-8") == 1


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ({"train.csv": "text,label\n"}, "train.csv: has no reviews; write some to the file"),
        ({"all.csv": "text,label\n"}, "all.csv: has no reviews; write some to the file"),
        ({"all.csv": "text,label\n" + "A,1\n" * 3}, "all.csv: has too few reviews (3) to take a"),
        ({"train.csv": b"text,label\n\xff,1\n"}, "no reviews that are UTF-8, 1 skipped; convert"),
        ({"train.jsonl": ""}, "train.jsonl: has no reviews; write some"),
        ({"train/pos/a.md": "", "train/neg/a.md": ""}, "train: has no reviews; put a file that"),
    ],
    ids=["csv", "set", "small set", "nothing left", "jsonl", "folder"],
)
def test_place_without_reviews_is_refused_by_its_name(tmp_path, files, fault):
    write(tmp_path, files)
    split = "test" if "all.csv" in files else "train"
    message = complaint(read_files, tmp_path, split, on_bad_text="skip")
    assert fault in message
    assert str(tmp_path) in message


def test_reviews_without_text_stay_and_are_counted_once(tmp_path, caplog):
    write(tmp_path, {"train.csv": 'text,label\n,1\n" \n",0\nFine.,1\n'})
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert len(read_files(tmp_path)) == 3
    assert caplog.text.count("train.csv: 2 reviews have no text; they stay, as reviews") == 1


def test_entries_beside_the_splits_are_named_in_one_warning(tmp_path, caplog):
    write(tmp_path, {**FOLDERS, "validation.csv": ROWS, "dev/pos/1.txt": "", ".git/x": ""})
    with caplog.at_level(logging.WARNING):
        for split in ("train", "test"):
            assert read_files(tmp_path, split)
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}: left out 'dev', 'validation.csv'; only the splits 'train' and 'test' are "
        "read, and validation reviews are a part of train: config.data.validation_share"
    ]


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["training", "testing"], "'testing', 'training'"),
        (["Train", "Test"], "'Test', 'Train'"),
        (["TRAIN.csv"], "'TRAIN.csv'"),
        (["train", "Testing.CSV"], "'Testing.CSV'"),
    ],
    ids=["folders", "capitals", "one file", "one of two"],
)
def test_split_in_another_spelling_is_refused(tmp_path, names, found):
    folders = ("/pos/1.txt", "/neg/1.txt")
    write(tmp_path, {n + end: ROWS for n in names for end in (folders if "." not in n else [""])})
    message = complaint(read_files, tmp_path)
    assert f"{tmp_path}: holds {found}; name the splits exactly 'train' and 'test'" in message


def test_splits_of_other_names_may_be_given(tmp_path):
    write(tmp_path, {name.replace("/", "ing/", 1): text for name, text in FOLDERS.items()})
    names = {"train_split": "training", "test_split": "testing"}
    assert len(read_files(tmp_path, "training", **names)) == 3
    assert len(read_files(tmp_path, "testing", **names)) == 2


@pytest.mark.parametrize(
    ("pipe", "path"),
    [("all", "all"), ("set/train.csv", "set"), ("neg/1.txt", ".")],
    ids=["set", "split", "review"],
)
@pytest.mark.parametrize("ask", ["batches", "fingerprint"])
def test_pipe_is_refused_without_waiting_for_a_writer(tmp_path, pipe, path, ask):
    write(tmp_path, {"pos/1.txt": "Fine.", "neg/2.txt": "Bad.", "set/test.csv": ROWS})
    os.mkfifo(tmp_path / pipe)
    message = complaint(
        lambda: list(getattr(open_source(f"files:{tmp_path / path}"), ask)("train"))
    )
    assert f"{tmp_path / pipe}: is neither a regular file nor a folder; " in message
    assert complaint(read, "files:/dev/null").endswith("ends in .csv, .jsonl, .parquet")


def test_missing_path_is_refused_with_where_it_was_looked_for(tmp_path, monkeypatch):
    write(tmp_path, {"a/train.csv": ROWS})
    monkeypatch.chdir(tmp_path)
    message = complaint(read, "files:b")
    assert f"{tmp_path / 'b'} does not exist (a relative path is below the working" in message
    assert "--config=configs/sample.py" in message
    message = complaint(read, "files:b", folder="a")
    assert f"{tmp_path / 'a/b'} does not exist (a relative path is below config.data" in message
    message = complaint(open_source, "shards:b", folder="a")
    assert f"{tmp_path / 'a/b'} does not exist (a relative path is below config.data" in message


@pytest.mark.parametrize("ask", ["batches", "fingerprint"])
@pytest.mark.parametrize(
    ("files", "found"),
    [
        (FOLDERS, "'test', 'train'"),
        ({"IMDB Dataset.csv": ROWS, "dev.csv.gz": b""}, "'IMDB Dataset.csv', 'dev.csv.gz'"),
        ({f"{i}.csv": ROWS for i in range(7)}, "'0.csv', '1.csv', '2.csv', '3.csv', '4.csv' and 2"),
    ],
    ids=["other splits", "other files", "many files"],
)
def test_unknown_split_is_refused_with_what_the_folder_holds(tmp_path, ask, files, found):
    write(tmp_path, files)
    source = open_source(f"files:{tmp_path}", unlabelled_split="dev")
    message = complaint(lambda: list(getattr(source, ask)("dev")))
    start = f"config.data.unlabelled_split: {tmp_path} has no split 'dev', it holds {found}"
    assert message.startswith(start)


def test_missing_train_split_is_refused_with_the_layout(tmp_path):
    write(tmp_path, {"test.csv": ROWS})
    message = complaint(read_files, tmp_path)
    assert f"{tmp_path}: has no split 'train', it holds 'test.csv'; give a PATH that" in message
    assert "a folder of .txt files for each label" in message


def test_split_of_unlabelled_reviews_is_said_to_be_read(tmp_path, caplog):
    write(tmp_path, {**FOLDERS, "more.csv": "text\nWhat?\n", "dev.csv": ROWS})
    with caplog.at_level(logging.WARNING):
        read_files(tmp_path, unlabelled_split="more")
    assert "left out 'dev.csv'; only the splits 'train', 'test' and 'more' are read" in caplog.text


def test_two_places_for_a_split_are_refused(tmp_path):
    write(tmp_path, {**FOLDERS, "train.csv": ROWS})
    assert "holds train and train.csv, all for the split" in complaint(read_files, tmp_path)


def test_file_of_another_kind_is_refused(tmp_path):
    write(tmp_path, {"reviews.tsv": "Fine.\t1\n"})
    message = complaint(read_files, tmp_path / "reviews.tsv")
    assert "ends in none of .csv, .jsonl, .parquet" in message


def test_path_that_can_not_be_looked_into_is_refused(tmp_path):
    (tmp_path / "round").symlink_to("round")
    assert "round" in complaint(read_files, tmp_path / "round" / "reviews")
    assert "File name too long" in complaint(read_files, tmp_path / ("a" * 300))


def test_fingerprint_of_files_is_that_of_their_content(tmp_path):
    write(tmp_path, FOLDERS)
    write(tmp_path / "copy", FOLDERS)
    one, copy = (open_source(f"files:{path}") for path in (tmp_path, tmp_path / "copy"))
    assert one.fingerprint("train") == copy.fingerprint("train")
    assert one.fingerprint("train") != one.fingerprint("test")


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "pos/2.txt").unlink(),
        lambda folder: (folder / "pos/4.txt").write_text("Fine."),
        lambda folder: (folder / "pos/2.txt").rename(folder / "neg/2.txt"),
        lambda folder: (folder / "pos/2.txt").rename(folder / "pos/0.txt"),
    ],
    ids=["deleted", "added", "moved to the other label", "renamed"],
)
def test_fingerprint_of_files_changes_with_them(tmp_path, change):
    names = ("neg/1", "pos/2", "pos/3")
    write(tmp_path, {f"train/{name}.txt": name for name in names})
    source = open_source(f"files:{tmp_path}")
    before = source.fingerprint("train")
    change(tmp_path / "train")
    assert source.fingerprint("train") != before


def test_fingerprint_changes_with_content_of_the_same_size_and_time(tmp_path):
    write(tmp_path, {"train.csv": ROWS})
    file, source = tmp_path / "train.csv", open_source(f"files:{tmp_path}")
    before, state = source.fingerprint("train"), file.stat()
    file.write_text(ROWS.replace("Fine.,1", "Fine.,0"))
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert source.fingerprint("train") != before


def test_fingerprint_of_files_changes_with_how_they_are_read(tmp_path):
    write(tmp_path, FOLDERS)
    options = [{}, {"on_bad_text": "skip"}, {"text_column": "a"}, {"label_column": "a"}]
    sources = [open_source(f"files:{tmp_path}", **option) for option in options]
    assert len({source.fingerprint("train") for source in sources}) == len(options)


@pytest.mark.parametrize("split", ["unsup", "train/unsup", "raw", "train/raw"])
def test_unlabelled_split_is_a_folder_of_texts(tmp_path, split, caplog):
    texts = {f"{split}/{number}.txt": f"What {number}?" for number in range(2)}
    write(tmp_path, {**FOLDERS, **texts})
    expected = [("What 0?", ""), ("What 1?", "")]
    assert read_files(tmp_path, split, unlabelled_split=split) == expected
    labelled = read_files(tmp_path, "train", unlabelled_split=split)
    assert sorted(label for _, label in labelled) == ["neg", "pos", "pos"]
    assert not caplog.records  # of something that was left out


@pytest.mark.parametrize("split", ["unsup", "raw"])
def test_unlabelled_split_may_be_beside_the_labels_of_a_set_without_splits(tmp_path, split):
    files = {f"{label}/{n}.txt": f"{label} {n}." for label in ("neg", "pos") for n in range(20)}
    write(tmp_path, {**files, f"{split}/1.txt": "What?"})
    assert read_files(tmp_path, split, unlabelled_split=split) == [("What?", "")]
    parts = [read_files(tmp_path, part, unlabelled_split=split) for part in ("train", "test")]
    assert {label for part in parts for _, label in part} == {"neg", "pos"}
    assert sum(map(len, parts)) == 40
    source = open_source(f"files:{tmp_path}", unlabelled_split=split)
    assert len({source.fingerprint(part) for part in ("train", "test", split)}) == 3


def test_unlabelled_split_of_a_set_in_one_file_is_refused(tmp_path):
    write(tmp_path, {"reviews.csv": ROWS})
    message = complaint(read_files, tmp_path, "raw", unlabelled_split="raw")
    assert message.startswith("config.data.unlabelled_split: got 'raw', accepted are 'train' and")


@pytest.mark.parametrize("name", ["more.csv", "more.jsonl", "more.parquet"])
def test_only_the_texts_of_an_unlabelled_file_are_read(tmp_path, name):
    write(
        tmp_path,
        {"train.csv": ROWS, "more.csv": "text\nWhat?\n", "more.jsonl": '{"text": "What?"}\n'},
    )
    table = pyarrow.table({"text": ["What?"]})
    parquet.write_table(table, tmp_path / "more.parquet")
    for other in ("more.csv", "more.jsonl", "more.parquet"):
        if other != name:
            (tmp_path / other).unlink()
    assert read_files(tmp_path, "more", unlabelled_split="more") == [("What?", "")]


def test_unlabelled_folder_without_texts_is_refused(tmp_path):
    write(tmp_path, {**FOLDERS, "unsup/readme.md": "None."})
    message = complaint(read_files, tmp_path, "unsup", unlabelled_split="unsup")
    assert "unsup: has no file that ends in .txt" in message
