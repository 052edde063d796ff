"""A source of texts: batches of (text, label) pairs of a split, always in the same order.

    source = Source(fingerprint, batches)
    for texts, labels in source.batches("train"): ...

Source is what the kinds sample, tfds and files have in common.
"""

import itertools
from collections.abc import Callable, Iterable
from typing import NamedTuple

import ml_collections
import tensorflow as tf

from input_pipeline.sources import once

READ_BATCH = 1024  # reviews


class Source(NamedTuple):
    """A data set. Both functions raise UserError for a split that is missing or empty."""

    # Takes a split and returns a digest of the content that its reviews are read from.
    fingerprint: Callable[[str], str]
    # Takes a split and returns pairs of texts <string>[n] and the names of their labels, as the
    # source spells them, in an order that never changes.
    batches: Callable[[str], Iterable[tuple[tf.Tensor, list[str]]]]


def source_of_pairs(
    fingerprint: Callable[[str], str], read: Callable[[str], Iterable[tuple[str, str]]]
) -> Source:
    """Returns the source whose splits `read` returns as pairs (text, label), one or more."""

    def batches(split: str) -> Iterable[tuple[tf.Tensor, list[str]]]:
        pairs = iter(read(split))
        while batch := list(itertools.islice(pairs, READ_BATCH)):
            texts, labels = zip(*batch, strict=True)
            yield tf.constant(texts), list(labels)

    return Source(fingerprint, batches)


def field_of(split: str, data: ml_collections.ConfigDict) -> str:
    """Returns the field that names a split, as an error begins with it."""
    fields = ("train_split", "test_split", "unlabelled_split")
    return next(f"config.data.{field}" for field in fields if data[field] == split)


def warn_of_blank_texts(place: object, count: int) -> None:
    """Warns, once per process, when `count` reviews of a file, folder or split have no text."""
    if count:
        once.warn(f"{place}: {count:,} reviews have no text; they stay, as reviews without a word")
