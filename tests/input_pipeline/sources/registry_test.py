"""Run with `python -m pytest tests/input_pipeline/sources_test.py`.

TFDS_DATA_DIR tells where a prepared imdb_reviews lies; without it those tests are skipped.
"""

import hashlib
import json
import logging
import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from input_pipeline.sources import sample_corpus
from input_pipeline.sources.registry import open_source
from storage.errors import UserError

IMDB_DIR = os.environ.get("TFDS_DATA_DIR", "")
needs_imdb = pytest.mark.skipif(
    not (IMDB_DIR and (Path(IMDB_DIR) / "imdb_reviews").is_dir()),
    reason="TFDS_DATA_DIR is not set, or holds no imdb_reviews",
)
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


def read(name, split="train", folder="", on_bad_text="fail"):
    """All (text, label) of a split."""
    return [
        (text.decode(), int(label))
        for texts, labels in open_source(name, folder, on_bad_text).batches(split)
        for text, label in zip(texts.numpy(), labels, strict=True)
    ]


def read_files(path, split="train", **options):
    return read(f"files:{path}", split, **options)


def complaint(function, *arguments, **options):
    """The one line of the UserError that a call ends in."""
    with pytest.raises(UserError) as raised:
        function(*arguments, **options)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("split", ["train", "test"])
def test_sample_is_the_embedded_corpus(split):
    assert read("sample", split) == sample_corpus.reviews(split)


def test_batches_have_the_types_of_the_contract():
    for texts, labels in open_source("sample", "", "fail").batches("test"):
        assert (texts.dtype, labels.dtype) == (tf.string, np.int32)
        assert texts.shape == labels.shape


def test_fingerprint_of_the_sample_tells_splits_apart():
    source = open_source("sample", "", "fail")
    assert source.fingerprint("test") == source.fingerprint("test") != source.fingerprint("train")


def test_unknown_split_of_the_sample_is_refused():
    assert "'dev'" in complaint(read, "sample", "dev")


@pytest.mark.parametrize("name", ["imdb", "csv:reviews.csv", "samples", ""])
def test_unknown_source_is_never_another_one(name):
    assert "config.data.source" in complaint(read, name)


def test_folders_are_read_split_by_split(tmp_path):
    write(tmp_path, FOLDERS)
    assert read_files(tmp_path) == [("Bad,\nreally.", 0), ("Fine.", 1), ("Very fine.", 1)]
    assert read_files(tmp_path, "test") == [("Boring.", 0), ("Good.", 1)]


def test_order_of_files_is_that_of_their_names(tmp_path):
    names = ["10", "2", "b", "a", "1"]
    write(
        tmp_path, {f"train/{label}/{name}.txt": name for label in ("pos", "neg") for name in names}
    )
    assert [text for text, _ in read_files(tmp_path)] == sorted(names) * 2


def test_relative_path_hangs_under_the_data_folder(tmp_path):
    write(tmp_path, {f"mine/{name}": text for name, text in FOLDERS.items()})
    assert read("files:mine", "test", folder=str(tmp_path)) == [("Boring.", 0), ("Good.", 1)]


def test_folder_without_splits_gives_a_fixed_tenth_as_test(tmp_path):
    write(tmp_path, {f"{'pos' if i % 2 else 'neg'}/{i}.txt": f"{i}" for i in range(40)})
    train, test = read_files(tmp_path), read_files(tmp_path, "test")
    assert (len(train), len(test)) == (36, 4)
    assert {int(text) for text, _ in train + test} == set(range(40))
    assert all(int(text) % 2 == label for text, label in train + test)
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
    assert read_files(tmp_path) == [('Fine, a "film".\nGo.', 1), ("Bad.", 0)]


def test_csv_columns_may_stand_anywhere(tmp_path):
    write(tmp_path, {"train.csv": "id,label,text\r\n7,1,Fine.\r\n8,0,Bad.\r\n"})
    assert read_files(tmp_path) == [("Fine.", 1), ("Bad.", 0)]


def test_csv_may_begin_with_a_byte_order_mark(tmp_path):
    write(tmp_path, {"train.csv": "\ufefftext,label\nFine.,1\n"})
    assert read_files(tmp_path) == [("Fine.", 1)]


def test_csv_may_hold_a_very_long_review(tmp_path):
    write(tmp_path, {"train.csv": f"text,label\n{'fine ' * 50_000},1\n"})
    assert len(read_files(tmp_path)[0][0]) == 250_000


def test_jsonl_is_read(tmp_path):
    rows = [{"text": "Fine,\n\u6620\u753b.", "label": 1}, {"label": "neg", "text": "", "id": 3}]
    write(tmp_path, {"test.jsonl": "".join(json.dumps(row) + "\n" for row in rows)})
    assert read_files(tmp_path, "test") == [("Fine,\n\u6620\u753b.", 1), ("", 0)]


@pytest.mark.parametrize(
    ("label", "expected"),
    [("1", 1), ("pos", 1), ("Positive", 1), ("0", 0), ("NEG", 0), (" negative ", 0)],
)
def test_label_may_be_a_number_or_a_word(tmp_path, label, expected):
    write(tmp_path, {"train.csv": f"text,label\nA film.,{label}\n"})
    assert read_files(tmp_path) == [("A film.", expected)]


@pytest.mark.parametrize(
    ("name", "content", "line", "label"),
    [
        ("train.csv", "text,label\nFine.,1\nSo-so.,2\n", 3, "'2'"),
        ("train.csv", 'text,label\n"Fine,\nfine.",1\nSo-so.,\n', 4, "''"),
        ("train.csv", "text,label\nFine.,1\n\nSo-so.,neutral\n", 4, "'neutral'"),
        ("train.jsonl", '{"text": "Fine.", "label": 1}\n{"text": "", "label": 2}\n', 2, "2"),
        ("train.jsonl", '{"text": "Fine.", "label": null}\n', 1, "None"),
    ],
    ids=["csv", "after a line break in a review", "after an empty line", "jsonl", "null"],
)
def test_third_label_is_refused_with_its_line(tmp_path, name, content, line, label):
    write(tmp_path, {name: content})
    message = complaint(read_files, tmp_path)
    assert f"{tmp_path / name}, line {line}: got the label {label}, accepted are 1, pos" in message


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
        assert read_files(tmp_path, on_bad_text="skip") == [("Fine.", 1)]
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


def test_json_text_that_is_no_text_is_refused(tmp_path):
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
    assert f"{tmp_path / 'missing'} is not there" in message
    assert "--config=configs/sample.py" in message


@pytest.mark.parametrize("ask", ["batches", "fingerprint"])
def test_unknown_split_is_refused_with_the_layout(tmp_path, ask):
    write(tmp_path, FOLDERS)
    source = open_source(f"files:{tmp_path}", "", "fail")
    message = complaint(lambda: list(getattr(source, ask)("dev")))
    assert f"{tmp_path} has no split 'dev'" in message
    assert "pos/ and neg/" in message


def test_file_of_another_kind_is_refused(tmp_path):
    write(tmp_path, {"reviews.tsv": "Fine.\t1\n"})
    assert "neither in .csv nor in .jsonl" in complaint(read_files, tmp_path / "reviews.tsv")


def test_fingerprint_of_files_stays_the_same(tmp_path):
    write(tmp_path, FOLDERS)
    one, other = (open_source(f"files:{tmp_path}", "", "fail") for _ in range(2))
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
    source = open_source(f"files:{tmp_path}", "", "fail")
    before = source.fingerprint("train")
    change(tmp_path / "train")
    assert source.fingerprint("train") != before


def test_fingerprint_of_files_changes_with_what_is_done_to_bad_text(tmp_path):
    write(tmp_path, FOLDERS)
    fail, skip = (open_source(f"files:{tmp_path}", "", what) for what in ("fail", "skip"))
    assert fail.fingerprint("train") != skip.fingerprint("train")


@pytest.fixture(scope="module")
def tfds_dir(tmp_path_factory):
    """A folder with small data sets in TFDS's format: `reviews`, and some that don't fit."""
    import tensorflow_datasets as tfds

    folder = str(tmp_path_factory.mktemp("tfds"))
    text, number = tfds.features.Text(), tfds.features.Scalar(np.int64)
    label = tfds.features.ClassLabel
    sizes = {"train": 5, "test": 2}
    contents = {
        "reviews": ({"text": text, "label": label(num_classes=2)}, [0, 1, 1, 0, 1]),
        "ratings": ({"text": text, "label": label(num_classes=3)}, [0, 1, 2, 0, 1]),
        "counts": ({"text": text, "label": number}, [0, 1, 7, 0, 1]),
        "numbers": ({"text": number, "label": number}, [0, 1, 1, 0, 1]),
        "unlabelled": ({"text": text, "stars": number}, [0, 1, 1, 0, 1]),
    }
    for name, (features, values) in contents.items():
        texts = values if name == "numbers" else [f"Review {i}." for i in range(5)]
        data = tf.data.Dataset.from_tensor_slices(dict(zip(features, (texts, values), strict=True)))
        tfds.dataset_builders.store_as_tfds_dataset(
            name=name,
            version="1.0.0",
            features=tfds.features.FeaturesDict(features),
            split_datasets={split: data.take(n) for split, n in sizes.items()},
            data_dir=folder,
            disable_shuffling=True,
        )
    return folder


def test_tfds_set_is_read_in_its_order(tfds_dir):
    reviews = [(f"Review {i}.", label) for i, label in enumerate([0, 1, 1, 0, 1])]
    assert read("tfds:reviews", folder=tfds_dir) == reviews
    assert read("tfds:reviews", "test", folder=tfds_dir) == reviews[:2]
    assert read("tfds:reviews", "train[40%:80%]", folder=tfds_dir) == reviews[2:4]


def test_tfds_fingerprint_tells_splits_and_slices_apart(tfds_dir):
    source = open_source("tfds:reviews", tfds_dir, "fail")
    splits = ("train", "test", "train[:40%]", "train[40%:]")
    assert len({source.fingerprint(split) for split in splits}) == 4


@pytest.mark.parametrize("split", ["dev", "train[:10", ""])
def test_unknown_tfds_split_is_refused_with_those_there_are(tfds_dir, split):
    message = complaint(read, "tfds:reviews", split, folder=tfds_dir)
    assert f"no split {split!r}" in message
    assert "test, train" in message


@pytest.mark.parametrize("split", ["train[2:2]", "test[:10%]"])
def test_empty_tfds_split_is_refused(tfds_dir, split):
    assert f"{split!r} of reviews has no reviews" in complaint(
        read, "tfds:reviews", split, folder=tfds_dir
    )


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("ratings", "3 classes of label, accepted are 2"),
        ("counts", "the label 7, accepted: 0 and 1"),
        ("numbers", "a text and its label are needed"),
        ("unlabelled", "a text and its label are needed"),
    ],
)
def test_tfds_set_of_another_kind_is_refused(tfds_dir, name, fault):
    message = complaint(read, f"tfds:{name}", folder=tfds_dir)
    assert f"config.data.source: {name} has" in message
    assert fault in message


def test_missing_tfds_folder_says_how_to_prepare_one(tmp_path):
    message = complaint(read, "tfds:imdb_reviews", folder=str(tmp_path / "missing"))
    assert f"config.data.dir: {tmp_path / 'missing'} is no folder" in message
    assert "tfds build imdb_reviews --data_dir=DIR" in message
    assert "--config=configs/sample.py, which needs no data" in message


def test_tfds_folder_without_the_set_says_how_to_prepare_it(tmp_path):
    message = complaint(read, "tfds:imdb_reviews", folder=str(tmp_path))
    assert f"config.data.dir: {tmp_path} holds no imdb_reviews" in message
    assert "tfds build imdb_reviews --data_dir=DIR" in message


def test_unknown_tfds_set_is_refused_by_name(tfds_dir):
    message = complaint(read, "tfds:no_such_reviews", folder=tfds_dir)
    assert "config.data.source: no TFDS data set 'no_such_reviews'" in message


def digest(reviews):
    return hashlib.sha256(repr(reviews).encode()).hexdigest()


@pytest.fixture(scope="module")
def imdb_train():
    return read("tfds:imdb_reviews")


@needs_imdb
def test_imdb_has_as_many_reviews_of_each_label(imdb_train):
    assert len(imdb_train) == 25_000
    assert sum(label for _, label in imdb_train) == 12_500


# Digests are compared, so that no failure prints a review.
@needs_imdb
def test_imdb_comes_in_the_same_order_whether_its_folder_is_named_or_not(imdb_train):
    assert digest(read("tfds:imdb_reviews", folder=IMDB_DIR)) == digest(imdb_train)


@needs_imdb
def test_imdb_can_be_read_in_part(imdb_train):
    assert digest(read("tfds:imdb_reviews", "train[:1%]")) == digest(imdb_train[:250])


def test_csv_with_a_quote_that_is_never_closed_loses_no_review_quietly(tmp_path):
    write(tmp_path, {"train.csv": 'text,label\nFine.,1\n"Bad.,0\nBad.,0\n'})
    with pytest.raises(UserError, match=r"train\.csv, line"):
        read_files(tmp_path, "train")


def test_file_that_can_not_be_read_is_named(tmp_path):
    for label in ("pos", "neg"):
        write(tmp_path, {f"train/{label}/1.txt": "Fine."})
    (tmp_path / "train/pos/2.txt").mkdir()
    with pytest.raises(UserError, match=r"2\.txt: Is a directory"):
        read_files(tmp_path, "train")
