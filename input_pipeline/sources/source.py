"""A source of texts: batches of (text, label) pairs of a split, always in the same order.

    source = Source(fingerprint, batches)
    for texts, labels in source.batches("train"): ...

Source is what the kinds sample, tfds and files have in common.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from storage.errors import UserError

READ_BATCH = 1024  # reviews


class Source(NamedTuple):
    """A data set. Both functions raise UserError for a split that is missing or empty."""

    # Takes a split and returns a text that changes when its reviews do. Reads the reviews only
    # where nothing cheaper tells of a change.
    fingerprint: Callable[[str], str]
    # Takes a split and returns pairs of texts <string>[n] and labels <int32>[n], in an order that
    # never changes.
    batches: Callable[[str], Iterable[tuple[tf.Tensor, np.ndarray]]]


def source_of_lists(
    fingerprint: Callable[[str], str], read: Callable[[str], list[tuple[str, int]]]
) -> Source:
    """Returns the source whose splits `read` returns as lists of (text, label)."""

    def batches(split: str) -> Iterable[tuple[tf.Tensor, np.ndarray]]:
        reviews = read(split)
        if not reviews:
            raise UserError(
                f"config.data: the split {split!r} has no reviews; at least 1 is needed"
            )
        for start in range(0, len(reviews), READ_BATCH):
            texts, labels = zip(*reviews[start : start + READ_BATCH], strict=True)
            yield tf.constant(texts), np.array(labels, np.int32)

    return Source(fingerprint, batches)
