"""Run with `python -m pytest tests/input_pipeline/sources/tfds_test.py`.

TFDS_DATA_DIR names a folder with a prepared imdb_reviews; without it those tests are skipped.
"""

import hashlib
import logging
import os
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tests.input_pipeline.sources.reading import complaint, open_source, read, write

IMDB_DIR = os.environ.get("TFDS_DATA_DIR", "")
needs_imdb = pytest.mark.skipif(
    not (IMDB_DIR and (Path(IMDB_DIR) / "imdb_reviews").is_dir()),
    reason="TFDS_DATA_DIR is not set, or holds no imdb_reviews",
)


@pytest.fixture(scope="module")
def tfds_dir(tmp_path_factory):
    """A folder with small data sets in TFDS's format: `reviews`, and some that don't fit."""
    folder = str(tmp_path_factory.mktemp("tfds"))
    text, number = tfds.features.Text(), tfds.features.Scalar(np.int64)
    label = tfds.features.ClassLabel
    sizes = {"train": 5, "test": 2}
    contents = {
        "reviews": ({"text": text, "label": label(names=["pos", "neg"])}, [0, 1, 1, 0, 1]),
        "classes": ({"text": text, "label": label(num_classes=3)}, [0, 1, 2, 0, 1]),
        "many": ({"text": text, "label": label(num_classes=11)}, [0, 1, 10, 0, 1]),
        "counts": ({"text": text, "label": number}, [0, 1, 7, 0, -1]),
        "partly": ({"text": text, "label": label(names=["pos", "neg"])}, [0, 1, -1, 0, 1]),
        "numbers": ({"text": number, "label": number}, [0, 1, 1, 0, 1]),
        "unlabelled": ({"text": text, "stars": number}, [0, 1, 1, 0, 1]),
    }
    for name, (features, values) in contents.items():
        texts = values if name == "numbers" else [f"Review {i}." for i in range(5)]
        texts = ["", " \n", *texts[2:]] if name == "many" else texts
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
    reviews = [(f"Review {i}.", ("pos", "neg")[label]) for i, label in enumerate([0, 1, 1, 0, 1])]
    assert read("tfds:reviews", folder=tfds_dir) == reviews
    assert read("tfds:reviews", "test", folder=tfds_dir) == reviews[:2]
    assert read("tfds:reviews", "train[40%:80%]", folder=tfds_dir) == reviews[2:4]


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("classes", ["class 0", "class 1", "class 2", "class 0", "class 1"]),
        ("many", ["class 00", "class 01", "class 10", "class 00", "class 01"]),
        ("counts", ["0", "1", "7", "0", "-1"]),
    ],
)
def test_class_without_a_name_is_never_taken_for_a_number(tfds_dir, name, names):
    assert [label for _, label in read(f"tfds:{name}", folder=tfds_dir)] == names


def test_tfds_reviews_without_text_stay_and_are_counted_once(tfds_dir, caplog):
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert len(read("tfds:many", "test", folder=tfds_dir)) == 2
    assert caplog.text.count("many, split 'test': 2 reviews have no text; they stay") == 1


def test_tfds_fingerprint_tells_splits_and_slices_apart(tfds_dir):
    source = open_source("tfds:reviews", tfds_dir)
    splits = ("train", "test", "train[:40%]", "train[40%:]")
    assert len({source.fingerprint(split) for split in splits}) == 4


@pytest.mark.parametrize("split", ["dev", "train[:10", ""])
def test_unknown_tfds_split_is_refused_with_the_known_ones(tfds_dir, split):
    message = complaint(read, "tfds:reviews", split, folder=tfds_dir)
    assert f"config.data.test_split: reviews has no split {split!r}" in message
    assert "test, train" in message


@pytest.mark.parametrize("split", ["train[2:2]", "test[:10%]"])
def test_empty_tfds_split_is_refused(tfds_dir, split):
    assert f"{split!r} of reviews has no reviews" in complaint(
        read, "tfds:reviews", split, folder=tfds_dir
    )


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("partly", "the label -1, accepted are 0 to 1 (pos, neg)"),
        ("numbers", "a text and its label (a class or a whole number) are needed"),
        ("unlabelled", "a text and its label (a class"),
    ],
)
def test_tfds_set_of_another_kind_is_refused(tfds_dir, name, fault):
    message = complaint(read, f"tfds:{name}", folder=tfds_dir)
    assert f"config.data.source: {name} has" in message
    assert fault in message


def cut_at_a_record(content):
    (length,) = struct.unpack("<Q", content[:8])
    return content[: length + 16]  # with the length and two checksums


RECORDS = "reviews-train.tfrecord-00000-of-00001"
DAMAGE = {
    "cut record": (RECORDS, lambda content: content[:-3], "can't be read (truncated record"),
    "cut file": (RECORDS, cut_at_a_record, "has 1 reviews, dataset_info.json says 5"),
    "empty file": (RECORDS, lambda content: b"", "has 0 reviews, dataset_info.json says 5"),
    "flipped byte": (RECORDS, lambda content: content[:30] + b"!" + content[31:], "can't be read"),
    "too much": (RECORDS, lambda content: content * 2, "has 10 reviews, dataset_info.json says 5"),
    "no records": (RECORDS, None, "is missing"),
    "no info": ("dataset_info.json", None, "is missing"),
    "cut info": ("dataset_info.json", lambda content: content[:99], "is damaged ("),
    "no object": ("dataset_info.json", lambda content: b"[]", "is damaged (no JSON object)"),
    "no features": ("features.json", None, "is missing"),
    "empty features": ("features.json", lambda content: b"", "is damaged (Expecting value"),
    "cut names": ("label.labels.txt", lambda content: b"pos", "needs 2 different names of labels"),
    "empty names": ("label.labels.txt", lambda content: b"", "needs 2 different names of labels"),
}


def spoil(file, change):
    if change:
        file.write_bytes(change(file.read_bytes()))
    else:
        file.unlink()


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_tfds_folder_is_refused_with_the_file_and_what_to_do(tfds_dir, tmp_path, kind):
    name, change, fault = DAMAGE[kind]
    shutil.copytree(Path(tfds_dir, "reviews"), tmp_path / "reviews")
    file = tmp_path / "reviews" / "1.0.0" / name
    spoil(file, change)
    message = complaint(read, "tfds:reviews", folder=str(tmp_path))
    assert f"config.data.source: {file}: {fault}" in message
    assert f"delete {tmp_path / 'reviews/1.0.0'} and" in message
    assert "`tfds build reviews --data_dir=DIR`, or give another config.data.dir" in message


@pytest.mark.parametrize("ask", ["batches", "fingerprint"])
def test_records_that_go_missing_later_are_named(tfds_dir, tmp_path, ask):
    shutil.copytree(Path(tfds_dir, "reviews"), tmp_path / "reviews")
    source = open_source("tfds:reviews", str(tmp_path))
    file = tmp_path / "reviews/1.0.0" / RECORDS
    file.unlink()
    message = complaint(lambda: list(getattr(source, ask)("train[:40%]")))
    assert f"{file}: is missing" in message


@pytest.mark.parametrize("content", ["{", '{"name": "imdb_reviews", "version": "1.0.0"}', None])
def test_damaged_folder_of_a_known_set_is_not_downloaded_again(tmp_path, content):
    folder = tmp_path / "imdb_reviews/plain_text/1.0.0"
    write(folder, {"features.json": "{}"} | ({"dataset_info.json": content} if content else {}))
    message = complaint(open_source, "tfds:imdb_reviews", folder=str(tmp_path))
    assert str(folder) in message
    assert "delete" in message


def test_fingerprint_of_a_tfds_set_changes_with_its_content(tfds_dir, tmp_path):
    shutil.copytree(Path(tfds_dir, "reviews"), tmp_path / "reviews")
    names = tmp_path / "reviews/1.0.0/label.labels.txt"
    one, same = (open_source("tfds:reviews", folder) for folder in (tfds_dir, str(tmp_path)))
    names.write_text("good\nbad\n")
    other = open_source("tfds:reviews", str(tmp_path))
    assert one.fingerprint("test") == same.fingerprint("test") != other.fingerprint("test")
    spoil(names.with_name(RECORDS), lambda content: content[:30] + b"!" + content[31:])
    assert one.fingerprint("train") != same.fingerprint("train")


@pytest.mark.parametrize("name", ["..", "../x", "/x", "reviews/..", "reviews//1", "reviews:1"])
def test_text_that_is_no_tfds_name_is_refused_before_anything_is_looked_up(tfds_dir, name):
    message = complaint(read, f"tfds:{name}", folder=f"{tfds_dir}/reviews")
    assert f"got 'tfds:{name}', accepted is tfds:NAME, tfds:NAME/CONFIG" in message


@pytest.mark.parametrize(
    ("name", "missing"),
    [("reviews:9.9.9", "no version 9.9.9"), ("reviews/big:2.*.*", "no config big and no version")],
)
def test_version_that_is_not_there_is_refused_with_those_that_are(
    tfds_dir, tmp_path, name, missing
):
    shutil.copytree(Path(tfds_dir, "reviews"), tmp_path / "reviews")
    (tmp_path / "reviews/3.0.0").mkdir()
    message = complaint(read, f"tfds:{name}", folder=str(tmp_path))
    assert f"{tmp_path / 'reviews'} has {missing}" in message
    assert message.endswith("there is tfds:reviews:1.0.0")


def test_damaged_version_is_named_and_the_intact_one_beside_it(tfds_dir, tmp_path):
    shutil.copytree(Path(tfds_dir, "reviews"), tmp_path / "reviews")
    write(tmp_path, {"reviews/2.0.0/features.json": "{}"})
    message = complaint(read, "tfds:reviews", folder=str(tmp_path))
    assert f"{tmp_path / 'reviews/2.0.0/dataset_info.json'}: is missing" in message
    assert f"delete {tmp_path / 'reviews/2.0.0'} and" in message
    assert "or take tfds:reviews:1.0.0, which is beside it, or" in message
    assert len(read("tfds:reviews:1.0.0", folder=str(tmp_path))) == 5


@pytest.mark.parametrize("name", ["reviews", "imdb_reviews"])
def test_data_folder_that_is_too_deep_is_named(tmp_path, name):
    folder = tmp_path / name / "1.0.0"
    folder.mkdir(parents=True)
    for deep in (folder, folder.parent):
        message = complaint(read, f"tfds:{name}", folder=str(deep))
        assert f"config.data.dir must hold the folder {name}, give the folder above it" in message


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
    assert sum(label == "pos" for _, label in imdb_train) == 12_500


# Digests are compared, so that no failure prints a review.
@needs_imdb
def test_imdb_has_the_same_order_with_and_without_its_folder(imdb_train):
    assert digest(read("tfds:imdb_reviews", folder=IMDB_DIR)) == digest(imdb_train)


@needs_imdb
def test_imdb_can_be_read_in_part(imdb_train):
    assert digest(read("tfds:imdb_reviews", "train[:1%]")) == digest(imdb_train[:250])


def test_default_folder_in_a_bucket_is_refused(monkeypatch):
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", "gs://bucket/tfds")
    line = complaint(read, "tfds:reviews")
    assert line.startswith("$TFDS_DATA_DIR: got 'gs://bucket/tfds', accepted is a path")


def test_labels_of_the_unlabelled_split_are_not_read(tfds_dir):
    data = {"folder": tfds_dir, "unlabelled_split": "train"}
    assert read("tfds:partly", **data) == [(f"Review {i}.", "") for i in range(5)]
    labelled, unlabelled = (
        open_source("tfds:reviews", folder=tfds_dir),
        open_source("tfds:reviews", **data),
    )
    assert labelled.fingerprint("train") != unlabelled.fingerprint("train")
    assert labelled.fingerprint("test") == unlabelled.fingerprint("test")


@needs_imdb
def test_imdb_has_reviews_without_a_label():
    source = open_source("tfds:imdb_reviews", unlabelled_split="unsupervised")
    _, labels = next(iter(source.batches("unsupervised")))
    assert set(labels) == {""}
