"""Run with `python -m pytest tests/input_pipeline/encoding_test.py`."""

import dataclasses

import pytest

from input_pipeline.encoding import Encoding, read_encoding, write_encoding
from input_pipeline.labels import SENTIMENTS, Labels
from input_pipeline.vocabulary import build
from storage.store import open_store

STARS = Encoding(build({"film": 2}, 10), Labels(("1", "2", "3")))


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "run"))


def test_encoding_is_read_as_it_was_written(store):
    write_encoding(store, STARS)
    assert store.list() == ["labels.txt", "vocabulary.txt"]
    assert read_encoding(store) == STARS


def test_store_without_files_has_none(store):
    assert read_encoding(store) is None
    store.write("labels.txt", STARS.labels.to_bytes())
    assert read_encoding(store) is None  # killed before it wrote the vocabulary


def test_vocabulary_alone_is_of_a_version_that_knew_two_labels(store):
    store.write("vocabulary.txt", STARS.vocabulary.to_bytes())
    assert read_encoding(store) == Encoding(STARS.vocabulary, SENTIMENTS)


def test_digest_changes_with_both_parts():
    others = (
        STARS._replace(labels=SENTIMENTS),
        STARS._replace(vocabulary=build({"book": 1}, 10)),
    )
    assert len({STARS.digest, *(other.digest for other in others)}) == 3
    assert STARS.digest == Encoding(dataclasses.replace(STARS.vocabulary), STARS.labels).digest
