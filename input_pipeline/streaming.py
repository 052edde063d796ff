"""A source read from its beginning to its end, without all of it in memory.

labels = read_labels(source, "train", advance=bar.update)
words = stream_vocabulary(source, "train", training=mask, size=20_000, advance=bar.update)
for rows in in_threads(encode, source.batches("train")): ...
"""

import collections
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import tensorflow as tf

from input_pipeline import text, vocabulary
from input_pipeline.sources import Source
from input_pipeline.vocabulary import Vocabulary
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


def stream_vocabulary(
    source: Source, split: str, training: np.ndarray, size: int, advance: Callable[[int], object]
) -> Vocabulary:
    """As `examples.build_vocabulary`, of the reviews where `training` <bool>[reviews] is True.

    What stays in memory is a count for each word that occurs.
    """

    def count(item: tuple[int, tf.Tensor, np.ndarray]) -> tuple[int, np.ndarray, np.ndarray]:
        start, texts, _ = item
        chosen = training[start : start + len(texts)]
        words = text.tokenize(tf.boolean_mask(texts, chosen))
        unique, _, numbers = tf.unique_with_counts(words.flat_values)
        return len(texts), unique.numpy(), numbers.numpy()

    counts = collections.Counter()
    for reviews, unique, numbers in in_threads(count, numbered(source, split, len(training))):
        for word, number in zip(unique.tolist(), numbers.tolist(), strict=True):
            counts[word.decode()] += number
        advance(reviews)
    return vocabulary.build(counts, size)
