"""Writes a set of shards, or completes one that another process began; see `shards.format`.

    writer = ShardWriter(store, "train", reviews=1_000_000, shard_reviews=65_536, dtype=dtype)
    if writer.lacks(first=0, count=1024):
        writer.add(first=0, reviews=reviews)   # in the order of their ranks, from 0 to 999,999
    writer.finish(encoding, source_digest)

Reviews are dealt to shards like cards, one each in turn, within groups of 16 shards. So each shard
has a fair sample of the group's reviews, a million with shards of 65,536.
"""

import math

import numpy as np
from absl import logging

from input_pipeline.encoding import Encoding
from input_pipeline.shards import format as shard_format
from input_pipeline.shards.format import Index, PackedReviews, Shard
from storage.store import Store

_GROUP = 16  # shards; the reviews of a group are in memory together
# Difference between the mean labels of a shard and of the set, as a fraction of the largest label.
_TOLERATED = 0.1


class ShardWriter:
    """A set that is being written to a store. Holds the reviews of up to 16 shards in memory."""

    def __init__(self, store: Store, split: str, reviews: int, shard_reviews: int, dtype: np.dtype):
        """Lists the shards that the store has already.

        `reviews` is how many the set will have, at least 1; `shard_reviews` the most in a shard;
        `dtype` that of the token ids.
        """
        self._store, self._split, self._dtype = store, split, dtype
        self._reviews = reviews
        self._groups = _groups(reviews, shard_reviews)
        self._group_size = shard_reviews * _GROUP
        self._waiting: list[PackedReviews] = []
        self._shards: dict[int, Shard] = {}
        for name in store.list(f"{split}/"):
            if shard := shard_format.parse_name(name.removeprefix(f"{split}/")):
                # Two processes at a time may have written the same shard: either one will do.
                self._shards.setdefault(shard.number, shard)

    def lacks(self, first: int, count: int) -> bool:
        """Returns True when one of the `count` reviews from rank `first` on is to be added."""
        if not count:
            return False
        groups = range(first // self._group_size, (first + count - 1) // self._group_size + 1)
        return any(self._missing(group) for group in groups)

    def add(self, first: int, reviews: PackedReviews) -> None:
        """Takes reviews from rank `first` on, and writes the shards that they complete."""
        while len(reviews):
            group = first // self._group_size
            end = self._end(group)
            in_group = np.arange(first, first + len(reviews)) < end
            if self._missing(group):
                self._waiting.append(reviews.select(in_group))
                if first + len(reviews) >= end:
                    self._write(group)
            first, reviews = end, reviews.select(~in_group)

    def finish(self, encoding: Encoding, source_digest: str) -> Index:
        """Writes the index, after all reviews were added; it records both arguments."""
        numbers = range(self._groups[-1].stop)
        missing = [number for number in numbers if number not in self._shards]
        if missing or self._waiting:
            raise ValueError(f"shards: got no reviews for {missing}, expected all to be added")
        shards = tuple(self._shards[number] for number in numbers)
        vocabulary, labels = encoding.vocabulary.digest, encoding.labels.names
        index = Index(self._dtype, vocabulary, labels, source_digest, shards)
        _warn_if_sorted(index, f"{self._store.url}/{self._split}")
        self._store.write(f"{self._split}/{shard_format.INDEX}", index.to_bytes())
        return index

    def _missing(self, group: int) -> list[int]:
        """Returns the numbers of a group's shards that the store does not have."""
        return [number for number in self._groups[group] if number not in self._shards]

    def _end(self, group: int) -> int:
        """Returns the rank after the last one of a group."""
        return min((group + 1) * self._group_size, self._reviews)

    def _write(self, group: int) -> None:
        numbers, missing = self._groups[group], self._missing(group)
        waiting, self._waiting = self._waiting, []
        starts = np.cumsum([0, *(len(part) for part in waiting)])
        for number in missing:
            turn = number - numbers.start
            parts = [
                part.select(np.arange(start, start + len(part)) % len(numbers) == turn)
                for start, part in zip(starts, waiting, strict=False)
            ]
            shard, data = shard_format.encode(shard_format.concatenate(parts), number, self._dtype)
            self._store.write(f"{self._split}/{shard.name}", data)
            self._shards[number] = shard


def _groups(reviews: int, shard_reviews: int) -> list[range]:
    """Returns the shard numbers of each group."""
    per_group = shard_reviews * _GROUP
    groups, first = [], 0
    for start in range(0, reviews, per_group):
        count = -(-min(per_group, reviews - start) // shard_reviews)
        groups.append(range(first, first + count))
        first += count
    return groups


def _warn_if_sorted(index: Index, place: str) -> None:
    """Logs a warning when the mean of a shard's labels is far from that of the set.

    All reviews of a batch are of one shard, so training would swing between the labels.
    """
    largest = len(index.labels) - 1
    mean = sum(shard.label_sum for shard in index.shards) / sum(index.reviews_per_shard)
    for shard in index.shards:
        chance = 2 / math.sqrt(shard.reviews)  # four standard deviations, at most
        if abs(shard.label_sum / shard.reviews - mean) > (_TOLERATED + chance) * largest:
            logging.warning(
                "%s: the labels of shard %d are %.2f on average, those of all %.2f: the source is "
                "sorted; bring its reviews into random order and prepare them again, or training "
                "will suffer",
                place,
                shard.number,
                shard.label_sum / shard.reviews,
                mean,
            )
            return
