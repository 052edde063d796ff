"""Reads a source from beginning to end without holding all of it in memory.

with progress("Counting", total=None) as advance:
    names, places = read_labels(source, "train", advance)
for start, texts, names in numbered_batches(source, "train", reviews=25_000): ...
for ids in in_threads(encode, source.batches("train")): ...
in_background(partial(reviews.load_split, "test", encoding)).result()
for part, counts in count_tokens_by_part([(0, texts), (0, more), (1, others)], rules=2): ...
"""

import collections
import contextlib
import itertools
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from input_pipeline import text
from input_pipeline.sources.source import Source
from storage.cores import usable_cores
from storage.errors import UserError

_AHEAD = 4  # items per thread that are in work, or done and not yet asked for

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def in_threads(function: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """Yields `function(item)` for each item, in order, working a few items ahead."""
    # Threads suffice: TensorFlow's string ops release the interpreter and use one core each.
    threads = usable_cores()
    with ThreadPoolExecutor(threads) as pool:
        waiting: collections.deque[Future[_Result]] = collections.deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= _AHEAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def in_background(function: Callable[[], _Result]) -> Future[_Result]:
    """Starts a function in a thread; the future has its result, or raises what it has raised."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(function)
    pool.shutdown(wait=False)
    return future


def numbered(values: Iterable[Hashable], numbers: dict[Any, int]) -> np.ndarray:
    """Returns the number of each value, <int32>[values], in the order in which they first occur.

    `numbers` holds those of earlier values, and gets those of new ones.
    """
    return np.array([numbers.setdefault(value, len(numbers)) for value in values], np.int32)


def read_labels(
    source: Source, split: str, advance: Callable[[int], object]
) -> tuple[list[str], np.ndarray]:
    """Returns the different labels of a split, and of each review which, <int32>[reviews].

    Calls `advance` with the number of reviews of each batch that was read.
    """
    seen: dict[str, int] = {}
    parts = []
    for _, names in source.batches(split):
        parts.append(numbered(names, seen))
        advance(len(names))
    return list(seen), np.concatenate(parts)


def numbered_batches(
    source: Source, split: str, reviews: int
) -> Iterator[tuple[int, tf.Tensor, list[str]]]:
    """Yields (index of the first review, texts <string>[n], names of n labels) of each batch.

    Raises UserError at the end when the split did not have exactly `reviews` reviews.
    """
    start = 0
    for texts, names in source.batches(split):
        if start + len(names) <= reviews:
            yield start, texts, names
        start += len(names)
    if start != reviews:
        raise UserError(
            f"config.data.source: its split {split!r} had {reviews:,} reviews and has {start:,} "
            "now; prepare it again in another --workdir"
        )


def count_tokens_by_part(
    batches: Iterable[tuple[int, tf.Tensor]], rules: int
) -> Iterator[tuple[int, collections.Counter[str]]]:
    """Yields (part, how often each token occurs) from (part, texts) in the order of the parts.

    Texts are <string>[reviews]; the tokens are those of a version of the text rules.
    """

    def count(batch: tuple[int, tf.Tensor]) -> tuple[int, np.ndarray, np.ndarray]:
        part, texts = batch
        unique, _, numbers = tf.unique_with_counts(text.tokenize(texts, rules).flat_values)
        return part, unique.numpy(), numbers.numpy()

    counted = in_threads(count, batches)
    for part, batches_of_part in itertools.groupby(counted, key=lambda batch: batch[0]):
        counts: collections.Counter[str] = collections.Counter()
        for _, unique, numbers in batches_of_part:
            for token, number in zip(unique.tolist(), numbers.tolist(), strict=True):
                counts[token.decode()] += number
        yield part, counts


@contextlib.contextmanager
def progress(name: str, total: int | None) -> Iterator[Callable[[int], object]]:
    """Shows a progress bar over reviews, if standard error is a terminal.

    Gives the function that advances it by a number of reviews.
    """
    bar = tqdm(desc=name, total=total, unit=" reviews", disable=None, leave=False, unit_scale=True)
    with contextlib.closing(bar):
        yield bar.update
