"""Run with `python -m pytest tests/input_pipeline/examples_test.py`."""

import collections

import numpy as np
import pytest
import tensorflow as tf

from configs import default
from input_pipeline import examples, text
from input_pipeline import vocabulary as vocabularies
from input_pipeline.batch_plan import held_out
from input_pipeline.encoding import Encoding
from input_pipeline.labels import SENTIMENTS
from input_pipeline.sources.source import Source

REVIEWS = [
    *(("A fine film.", "pos"), ("Bad, bad film!", "neg")),
    *(("", "neg"), ("It's fine<br />again.", "pos")),
]
VOCABULARY = vocabularies.build({"film": 3, "fine": 2, "bad": 2, "it's": 1}, size=10)
ENCODING = Encoding(VOCABULARY, SENTIMENTS)


class ListedReviews:
    """Reviews in a list, with a source of them that counts how often it is read."""

    def __init__(self, reviews=REVIEWS, fingerprint="1", read_batch=3):
        self.reads = 0
        self._reviews, self._read_batch = reviews, read_batch
        self.source = Source(lambda split: f"{split} {fingerprint}", self._batches)

    def _batches(self, _):
        self.reads += 1
        for start in range(0, len(self._reviews), self._read_batch):
            texts, names = zip(*self._reviews[start : start + self._read_batch], strict=True)
            yield tf.constant(texts), list(names)


def load(reviews, cache_dir="", encoding=ENCODING, split="train"):
    return examples.load(reviews.source, split, encoding, str(cache_dir))


def build_encoding(source, share, size, cache_dir="", positive=""):
    data = default.get_config().data
    data.update(validation_share=share, vocabulary_size=size, cache_dir=cache_dir)
    data.positive_label = positive
    return examples.build_encoding(source, data)


def build_vocabulary(source, share, size):
    return build_encoding(source, share, size).vocabulary


def contents(loaded):
    return loaded.tokens.to_list(), loaded.labels.tolist()


@pytest.fixture
def cache_file(tmp_path):
    """The file that a first load leaves in tmp_path."""
    load(ListedReviews(), tmp_path)
    (path,) = tmp_path.iterdir()
    return path


def test_reviews_become_ids_in_their_order():
    assert contents(load(ListedReviews())) == (
        [[1, 4, 2], [3, 3, 2], [1], [5, 4, 1]],
        [1, 0, 0, 1],
    )


@pytest.mark.parametrize("read_batch", [1, 2, 100])
def test_size_of_the_source_batches_does_not_matter(read_batch):
    assert load(ListedReviews(read_batch=read_batch)).digest == load(ListedReviews()).digest


def test_types_and_lengths_are_those_of_the_contract():
    loaded = load(ListedReviews())
    assert (loaded.tokens.dtype, loaded.labels.dtype) == (tf.int32, np.int32)
    assert loaded.lengths.tolist() == [3, 3, 1, 3]
    assert len(loaded) == 4


def test_take_gives_the_reviews_asked_for_in_that_order():
    assert contents(load(ListedReviews()).take(np.array([3, 0]))) == (
        [[5, 4, 1], [1, 4, 2]],
        [1, 1],
    )


def test_shortened_reviews_keep_their_labels():
    loaded = load(ListedReviews()).shortened(max_tokens=2, keep="tail")
    assert contents(loaded) == ([[4, 2], [3, 2], [1], [4, 1]], [1, 0, 0, 1])


@pytest.mark.parametrize("reviews", [0, 1, 3, 4])
def test_reviews_shortened_in_parts_are_those_shortened_together(monkeypatch, reviews):
    loaded = load(ListedReviews()).take(np.arange(reviews))
    together = loaded.shortened(max_tokens=2, keep="head_tail")
    monkeypatch.setattr(examples, "_CUT_TOGETHER", 2)
    in_parts = loaded.shortened(max_tokens=2, keep="head_tail")
    assert contents(in_parts) == contents(together)
    assert in_parts.digest == together.digest


def test_second_load_is_from_the_cache(tmp_path):
    reviews = ListedReviews()
    first, second = load(reviews, tmp_path), load(reviews, tmp_path)
    assert reviews.reads == 1
    assert second.digest == first.digest
    assert (second.tokens.dtype, second.labels.dtype) == (first.tokens.dtype, first.labels.dtype)


def test_cache_folder_is_made(tmp_path):
    reviews = ListedReviews()
    for _ in range(2):
        load(reviews, tmp_path / "a" / "b")
    assert reviews.reads == 1


def test_cache_of_the_home_folder_is_written_as_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    load(ListedReviews(), "~/cache")
    assert list((tmp_path / "cache").iterdir())


def test_cache_holds_nothing_half_written(cache_file):
    assert cache_file.suffix == ".npz"
    assert "train" in cache_file.name


def test_no_cache_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    reviews = ListedReviews()
    load(reviews)
    load(reviews)
    assert reviews.reads == 2
    assert list(tmp_path.iterdir()) == []


def test_changed_fingerprint_tokenises_again(cache_file):
    changed = ListedReviews([*REVIEWS, ("bad", "neg")], fingerprint="2")
    assert len(load(changed, cache_file.parent)) == 5


def test_changed_vocabulary_tokenises_again(cache_file):
    encoding = ENCODING._replace(vocabulary=vocabularies.build({"fine": 1}, size=10))
    reviews = ListedReviews()
    assert contents(load(reviews, cache_file.parent, encoding))[0] == [
        *([1, 2, 1], [1, 1, 1], [1], [1, 2, 1])
    ]
    assert reviews.reads == 1


def test_splits_are_cached_apart(cache_file):
    reviews = ListedReviews()
    load(reviews, cache_file.parent, split="test")
    assert reviews.reads == 1


def test_slices_of_a_split_are_cached_apart(tmp_path):
    reviews = ListedReviews()
    for split in ("train[:1%]", "train[:2%]", "train"):
        load(reviews, tmp_path, split=split)
    assert reviews.reads == 3


@pytest.mark.parametrize(
    "other",
    [
        [*REVIEWS, ("bad", "neg")],
        REVIEWS[:-1],
        [REVIEWS[1], REVIEWS[0], *REVIEWS[2:]],
        [(REVIEWS[0][0], "neg"), *REVIEWS[1:]],
        [("A fine", "pos"), ("film. Bad, bad film!", "neg"), *REVIEWS[2:]],
    ],
    ids=["more", "fewer", "order", "label", "cut elsewhere"],
)
def test_digest_changes_with_the_data(other):
    assert load(ListedReviews(other)).digest != load(ListedReviews()).digest


def test_digest_does_not_depend_on_the_fingerprint():
    assert (
        load(ListedReviews(fingerprint="1")).digest == load(ListedReviews(fingerprint="2")).digest
    )


def test_vocabulary_counts_the_tokens_of_all_batches():
    reviews = [
        (f"common word{i % 700} {'rare' if i == 2999 else ''}", str(i % 2)) for i in range(3000)
    ]
    source = ListedReviews(reviews, read_batch=800).source
    built = build_vocabulary(source, 0.0001, 1000)
    counts = collections.Counter(word for review, _ in reviews for word in review.split())
    assert built == vocabularies.build(counts, 1000)


def test_vocabulary_does_not_count_reviews_held_out():
    reviews = [(f"common word{i}", str(i % 2)) for i in range(40)]
    built = build_vocabulary(ListedReviews(reviews).source, 0.25, 1000)
    held = set(np.flatnonzero(held_out(40, 0.25)))
    assert set(built.tokens[2:]) == {"common"} | {f"word{i}" for i in range(40) if i not in held}


def test_vocabulary_has_the_size_asked_for():
    built = build_vocabulary(ListedReviews().source, 0.01, 4)
    assert built.tokens == ("<pad>", text.UNKNOWN_TOKEN, "bad", "film")


def test_encoding_comes_from_the_cache_the_second_time(tmp_path):
    reviews = ListedReviews()
    first, second = (build_encoding(reviews.source, 0.01, 50, str(tmp_path)) for _ in "ab")
    assert first == second
    assert reviews.reads == 1


def test_cache_of_labels_serves_each_positive_label(tmp_path):
    reviews = ListedReviews()
    for positive in ("pos", "neg"):
        built = build_encoding(reviews.source, 0.01, 50, str(tmp_path), positive)
        assert built.labels.numbers([positive], "test").tolist() == [1]
    assert reviews.reads == 1
