"""Run with `python -m pytest tests/input_pipeline/tokenized_test.py`."""

import collections
import dataclasses

import numpy as np
import pytest

from input_pipeline import text
from input_pipeline import vocabulary as vocabularies
from input_pipeline.tokenized import tokenize_split
from tests.input_pipeline.listed_reviews import REVIEWS, ListedReviews

VOCABULARY = vocabularies.build({"film": 3, "fine": 2, "bad": 2, "it's": 1}, size=10)
EVERY = np.ones(len(REVIEWS), bool)


def tokenize(reviews, cache_dir="", split="train", rules=text.WORDS):
    return tokenize_split(reviews.source, split, rules, str(cache_dir))


def contents(split):
    rows = np.split(np.array(split.tokens)[split.numbers], np.cumsum(split.lengths)[:-1])
    labels = [split.labels[number] for number in split.label_numbers]
    return [row.tolist() for row in rows], labels


@pytest.fixture
def cache_file(tmp_path):
    """The file that a first call leaves in tmp_path."""
    tokenize(ListedReviews(), tmp_path)
    (path,) = tmp_path.iterdir()
    return path


@pytest.mark.parametrize("read_batch", [1, 2, 3, 100])
def test_reviews_become_tokens_in_their_order(read_batch):
    assert contents(tokenize(ListedReviews(read_batch=read_batch))) == (
        [["a", "fine", "film"], ["bad", "bad", "film"], ["<unk>"], ["it's", "fine", "again"]],
        ["pos", "neg", "neg", "pos"],
    )


def test_types_and_order_are_those_of_the_contract():
    split = tokenize(ListedReviews())
    dtypes = [split.numbers.dtype, split.lengths.dtype, split.label_numbers.dtype]
    assert dtypes == [np.int32, np.int64, np.int32]
    assert split.tokens == sorted({token for row in contents(split)[0] for token in row})
    assert split.labels == ["pos", "neg"]
    assert len(split) == 4


def test_counts_are_those_of_the_reviews_chosen():
    split = tokenize(ListedReviews())
    for chosen in (EVERY, ~EVERY, np.array([True, False, False, True])):
        rows = [row for row, is_chosen in zip(contents(split)[0], chosen, strict=True) if is_chosen]
        assert split.counts(chosen) == collections.Counter(token for row in rows for token in row)
    assert split.label_counts() == {"pos": 2, "neg": 2}


def test_ids_are_those_of_the_vocabulary():
    texts = ListedReviews()
    ids = tokenize(texts).ids(VOCABULARY)
    ((batch, _),) = ListedReviews(read_batch=100).source.batches("train")
    assert ids.tolist() == VOCABULARY.encode(batch).flat_values.numpy().tolist()
    assert ids.dtype == np.int32


def test_second_call_reads_the_cache(tmp_path):
    reviews = ListedReviews()
    first, second = tokenize(reviews, tmp_path), tokenize(reviews, tmp_path)
    assert reviews.reads == 1
    assert contents(second) == contents(first)
    for made, read in zip(*map(dataclasses.astuple, (first, second)), strict=True):
        assert getattr(made, "dtype", None) == getattr(read, "dtype", None)


def test_cache_folder_is_made(tmp_path):
    reviews = ListedReviews()
    for _ in range(2):
        tokenize(reviews, tmp_path / "a" / "b")
    assert reviews.reads == 1


def test_cache_of_the_home_folder_is_written_as_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    tokenize(ListedReviews(), "~/cache")
    assert list((tmp_path / "cache").iterdir())


def test_cache_holds_nothing_half_written(cache_file):
    assert cache_file.suffix == ".npz"
    assert "train" in cache_file.name


def test_no_cache_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    reviews = ListedReviews()
    tokenize(reviews)
    tokenize(reviews)
    assert reviews.reads == 2
    assert list(tmp_path.iterdir()) == []


def test_changed_fingerprint_tokenises_again(cache_file):
    changed = ListedReviews([*REVIEWS, ("bad", "neg")], fingerprint="2")
    assert len(tokenize(changed, cache_file.parent)) == 5


def test_other_rules_tokenise_again(cache_file):
    reviews = ListedReviews()
    tokenize(reviews, cache_file.parent, rules=1)
    assert reviews.reads == 1


def test_splits_are_cached_apart(cache_file):
    reviews = ListedReviews()
    tokenize(reviews, cache_file.parent, split="test")
    assert reviews.reads == 1


def test_slices_of_a_split_are_cached_apart(tmp_path):
    reviews = ListedReviews()
    for split in ("train[:1%]", "train[:2%]", "train"):
        tokenize(reviews, tmp_path, split=split)
    assert reviews.reads == 3
