"""Writes a set of shards, and goes on with one that was begun; see `input_pipeline.shards`.

    writer = ShardWriter(store, "train", reviews=1_000_000, shard_reviews=65_536, token=token)
    if writer.lacks(first=0, count=1024):
        writer.add(first=0, rows=rows)     # in the order of their ranks, from 0 to 999,999
    writer.finish(vocabulary_digest, source_digest)

Reviews are dealt to shards like cards, 16 shards at a time, so that each shard has a fair sample
of what stands within a million reviews of each other in the source.
"""

import math

import numpy as np
from absl import logging

from input_pipeline.shards import format as shards
from input_pipeline.shards.format import Index, Reviews, Shard
from storage.store import Store

_DEALT_TOGETHER = 16  # shards; all their reviews are in memory at once
_UNLIKE = 0.1  # difference in the share of positive reviews


class ShardWriter:
    """One set on its way into a store. Holds the reviews of up to 16 shards."""

    def __init__(self, store: Store, split: str, reviews: int, shard_reviews: int, token: np.dtype):
        """`reviews` is how many there will be, at least 1; `shard_reviews` the most in a shard."""
        self._store, self._split, self._token = store, split, token
        self._reviews = reviews
        self._deals = _deals(reviews, shard_reviews)
        self._deal_size = shard_reviews * _DEALT_TOGETHER
        self._waiting: list[Reviews] = []
        self._shards: dict[int, Shard] = {}
        for name in store.list(f"{split}/"):
            if shard := shards.parse_name(name.removeprefix(f"{split}/")):
                # Two of a number were written by two processes at a time: either will do.
                self._shards.setdefault(shard.number, shard)

    def lacks(self, first: int, count: int) -> bool:
        """True when one of these reviews, `count` from rank `first` on, is still to be added."""
        if not count:
            return False
        deals = range(first // self._deal_size, (first + count - 1) // self._deal_size + 1)
        return any(self._missing(deal) for deal in deals)

    def add(self, first: int, rows: Reviews) -> None:
        """Takes reviews from rank `first` on, and writes the shards that they complete."""
        while len(rows):
            deal = first // self._deal_size
            end = self._end(deal)
            now = np.arange(first, first + len(rows)) < end
            if self._missing(deal):
                self._waiting.append(rows.select(now))
                if first + len(rows) >= end:
                    self._write(deal)
            first, rows = end, rows.select(~now)

    def finish(self, vocabulary: str, source: str) -> Index:
        """Makes it a set, all reviews added; the digests say what it was made of."""
        numbers = range(self._deals[-1].stop)
        missing = [number for number in numbers if number not in self._shards]
        if missing or self._waiting:
            raise ValueError(f"shards: got no reviews for {missing}, expected all to be added")
        index = Index(self._token, vocabulary, source, tuple(self._shards[n] for n in numbers))
        _warn_of_unlike(index, f"{self._store.url}/{self._split}")
        self._store.write(f"{self._split}/{shards.INDEX}", index.to_bytes())
        return index

    def _missing(self, deal: int) -> list[int]:
        return [number for number in self._deals[deal] if number not in self._shards]

    def _end(self, deal: int) -> int:
        """The rank after the last of a deal."""
        return min((deal + 1) * self._deal_size, self._reviews)

    def _write(self, deal: int) -> None:
        numbers, missing = self._deals[deal], self._missing(deal)
        waiting, self._waiting = self._waiting, []
        starts = np.cumsum([0, *(len(part) for part in waiting)])
        for number in missing:
            hand = number - numbers.start
            parts = [
                part.select(np.arange(start, start + len(part)) % len(numbers) == hand)
                for start, part in zip(starts, waiting, strict=False)
            ]
            shard, data = shards.encode(shards.joined(parts), number, self._token)
            self._store.write(f"{self._split}/{shard.name}", data)
            self._shards[number] = shard


def _deals(reviews: int, shard_reviews: int) -> list[range]:
    """The numbers of the shards that are dealt together."""
    per_deal = shard_reviews * _DEALT_TOGETHER
    deals, first = [], 0
    for start in range(0, reviews, per_deal):
        count = -(-min(per_deal, reviews - start) // shard_reviews)
        deals.append(range(first, first + count))
        first += count
    return deals


def _warn_of_unlike(index: Index, place: str) -> None:
    """Each batch is of one shard; where those differ, the training goes back and forth."""
    share = sum(shard.positive for shard in index.shards) / sum(index.reviews)
    for shard in index.shards:
        chance = 2 / math.sqrt(shard.reviews)  # four standard deviations, whatever the share
        if abs(shard.positive / shard.reviews - share) > _UNLIKE + chance:
            logging.warning(
                "%s: of shard %d %.0f%% are positive, of all %.0f%%: the source is sorted; bring "
                "its reviews into random order and prepare them again, or training will suffer",
                place,
                shard.number,
                100 * shard.positive / shard.reviews,
                100 * share,
            )
            return
