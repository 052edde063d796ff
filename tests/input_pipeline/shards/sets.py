"""Small sets of shards for the tests: make_reviews, write_set, assert_same_reviews."""

import dataclasses

import numpy as np

from input_pipeline.labels import SENTIMENTS
from input_pipeline.shards import format as shard_format
from input_pipeline.shards.format import Index, PackedReviews

DTYPES = {"two bytes": np.dtype("<u2"), "four bytes": np.dtype("<i4")}
SMALL = DTYPES["two bytes"]


def make_reviews(number=0, reviews=50, dtype=SMALL):
    """Returns reviews of 1 to 23 tokens that depend on a number."""
    lengths = ((np.arange(reviews) * 7 + number) % 23 + 1).astype(np.uint32)
    ids = ((np.arange(lengths.sum()) * 31 + number) % 60_000).astype(dtype)
    return PackedReviews(ids, lengths, (np.arange(reviews) % 3 == 0).astype(np.uint8))


def write_set(store, parts, split="train", dtype=SMALL, vocabulary="vocabulary"):
    """Writes a set with these parts as its shards, without ShardWriter, and returns its index.

    `vocabulary` is the digest of the vocabulary.
    """
    encoded = [shard_format.encode(part, number, dtype) for number, part in enumerate(parts)]
    for shard, data in encoded:
        store.write(f"{split}/{shard.name}", data)
    index = Index(
        dtype, vocabulary, SENTIMENTS.names, "source", tuple(shard for shard, _ in encoded)
    )
    store.write(f"{split}/{shard_format.INDEX}", index.to_bytes())
    return index


def assert_same_reviews(got, expected):
    for field in dataclasses.fields(PackedReviews):
        one, other = getattr(got, field.name), getattr(expected, field.name)
        np.testing.assert_array_equal(one, other, err_msg=field.name)
        assert one.dtype == other.dtype
