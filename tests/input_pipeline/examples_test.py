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
from input_pipeline.tokenized import tokenize_split
from storage.errors import UserError
from tests.input_pipeline.listed_reviews import REVIEWS, ListedReviews

VOCABULARY = vocabularies.build({"film": 3, "fine": 2, "bad": 2, "it's": 1}, size=10)
ENCODING = Encoding(VOCABULARY, SENTIMENTS)


def tokenize(reviews):
    return tokenize_split(reviews.source, "train", text.WORDS, cache_dir="")


def load(reviews, encoding=ENCODING):
    return examples.encode(tokenize(reviews), "train", encoding)


def build_encoding(reviews, share, size, positive=""):
    data = default.get_config().data
    data.update(validation_share=share, vocabulary_size=size, positive_label=positive)
    return examples.build_encoding(tokenize(reviews), data)


def build_vocabulary(reviews, share, size):
    return build_encoding(reviews, share, size).vocabulary


def contents(loaded):
    return loaded.tokens.to_list(), loaded.labels.tolist()


def test_reviews_become_ids_in_their_order():
    assert contents(load(ListedReviews())) == (
        [[1, 4, 2], [3, 3, 2], [1], [5, 4, 1]],
        [1, 0, 0, 1],
    )


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


def test_no_reviews_are_shortened_to_none():
    none = load(ListedReviews()).take(np.arange(0))
    assert contents(none.shortened(max_tokens=2, keep="head_tail")) == ([], [])


def test_label_that_the_encoding_lacks_is_refused():
    reviews = ListedReviews([*REVIEWS, ("So so.", "mixed")])
    with pytest.raises(UserError, match="the split 'train' has the label 'mixed'"):
        load(reviews)


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
    source = ListedReviews(reviews, read_batch=800)
    built = build_vocabulary(source, 0.0001, 1000)
    counts = collections.Counter(word for review, _ in reviews for word in review.split())
    assert built == vocabularies.build(counts, 1000)


def test_vocabulary_does_not_count_reviews_held_out():
    reviews = [(f"common word{i}", str(i % 2)) for i in range(40)]
    built = build_vocabulary(ListedReviews(reviews), 0.25, 1000)
    held = set(np.flatnonzero(held_out(40, 0.25)))
    assert set(built.tokens[2:]) == {"common"} | {f"word{i}" for i in range(40) if i not in held}


def test_vocabulary_has_the_size_asked_for():
    built = build_vocabulary(ListedReviews(), 0.01, 4)
    assert built.tokens == ("<pad>", text.UNKNOWN_TOKEN, "bad", "film")


def test_positive_label_is_the_one_asked_for():
    for positive in ("pos", "neg"):
        built = build_encoding(ListedReviews(), 0.01, 50, positive)
        assert built.labels.numbers([positive], "test").tolist() == [1]
