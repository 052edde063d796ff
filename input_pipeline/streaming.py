"""A source read from its beginning to its end, without all of it in memory.

labels = read_labels(source, "train", advance=bar.update)
for start, texts, labels in numbered(source, "train", reviews=25_000): ...
for rows in in_threads(encode, source.batches("train")): ...
counts = count_words(texts for texts, labels in source.batches("train"))
"""

import collections
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import tensorflow as tf

from input_pipeline import text
from input_pipeline.sources.registry import Source
from storage.errors import UserError

_AHEAD = 4  # items in work or done, for each thread

_Item, _Result = TypeVar("_Item"), TypeVar("_Result")


def in_threads(function: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """`function` of each item, in their order, some items ahead and never all."""
    # Threads, since TensorFlow's string ops run on one each and let the others work.
    threads = os.cpu_count()
    with ThreadPoolExecutor(threads) as pool:
        waiting = collections.deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= _AHEAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def read_labels(source: Source, split: str, advance: Callable[[int], object]) -> np.ndarray:
    """Labels <uint8>[reviews] of a split; `advance` is told of each batch's reviews."""
    parts = []
    for _, labels in source.batches(split):
        parts.append(labels.astype(np.uint8))
        advance(len(labels))
    return np.concatenate(parts)


def numbered(
    source: Source, split: str, reviews: int
) -> Iterator[tuple[int, tf.Tensor, np.ndarray]]:
    """(number of the first, texts, labels) of each batch; UserError if they aren't `reviews`."""
    start = 0
    for texts, labels in source.batches(split):
        if start + len(labels) <= reviews:
            yield start, texts, labels
        start += len(labels)
    if start != reviews:
        raise UserError(
            f"config.data.source: its split {split!r} had {reviews:,} reviews and has {start:,} "
            "now; prepare it anew in another --workdir"
        )


def count_words(batches: Iterable[tf.Tensor]) -> collections.Counter[str]:
    """How often each word occurs in batches of texts <string>[reviews]; what stays in memory."""

    def count(texts: tf.Tensor) -> tuple[np.ndarray, np.ndarray]:
        unique, _, numbers = tf.unique_with_counts(text.tokenize(texts).flat_values)
        return unique.numpy(), numbers.numpy()

    counts = collections.Counter()
    for unique, numbers in in_threads(count, batches):
        for word, number in zip(unique.tolist(), numbers.tolist(), strict=True):
            counts[word.decode()] += number
    return counts
