"""Writes a set of shards together with other workers; see `shards.format`.

    writer = ShardWriter(store, worker, "train", 1_000_000, shard_reviews=65_536, dtype=dtype)
    if writer.start():                                 # False when others make what is missing
        chosen = writer.choose(first=0, count=1024)    # in the order of ranks, from 0 to 999,999
        writer.add(np.flatnonzero(chosen), reviews)
    writer.finish(encoding, source_digest)             # None while shards are missing

Reviews are dealt to shards like cards, one each in turn, within groups of 16 shards. So each shard
has a fair sample of the group's reviews, a million with shards of 65,536.
"""

import itertools
import math

import numpy as np
from absl import logging

from input_pipeline.encoding import Encoding
from input_pipeline.shards import format as shard_format
from input_pipeline.shards.format import Index, PackedReviews, Shard
from input_pipeline.shards.share import Share
from storage.leases import Worker
from storage.store import Store

_GROUP = 16  # shards; the reviews of a group are in memory together
# Difference between the mean labels of a shard and of the set, as a fraction of the largest label.
_TOLERATED = 0.1


class ShardWriter:
    """A set that is being written to a store. Holds the reviews of up to 16 shards in memory."""

    def __init__(
        self,
        store: Store,
        worker: Worker,
        split: str,
        reviews: int,
        shard_reviews: int,
        dtype: np.dtype,
    ):
        """`reviews` is how many the set will have, at least 1; `shard_reviews` the most in a shard.

        `dtype` is that of the token ids.
        """
        self._store, self._split, self._dtype, self._reviews = store, split, dtype, reviews
        self._groups = _groups(reviews, shard_reviews)
        self._group_sizes = np.array([len(group) for group in self._groups])  # in shards
        self._group_reviews = shard_reviews * _GROUP
        self._share = Share(worker, split, self._groups, self._made)
        self._waiting: dict[int, list[PackedReviews]] = {}
        self.written = 0  # shards that this worker has made

    def start(self) -> bool:
        """Claims some of the missing shards; returns False when live workers hold all of them."""
        return self._share.start()

    def choose(self, first: int, count: int) -> np.ndarray:
        """Returns which of the `count` reviews from rank `first` on to add, <bool>[count].

        They are those of the shards that this worker makes. It claims some of each group that
        begins there, so all ranks have to be asked for, in their order.
        """
        begin, end = (-(-rank // self._group_reviews) for rank in (first, first + count))
        for group in range(begin, end):
            self._share.enter(group)
        return np.isin(self._numbers(np.arange(first, first + count)), [*self._share.mine])

    def add(self, ranks: np.ndarray, reviews: PackedReviews) -> None:
        """Takes the reviews of the ranks <int>[reviews], and writes the shards they complete."""
        numbers = self._numbers(ranks)
        for number in np.unique(numbers).tolist():
            chosen = numbers == number
            self._waiting.setdefault(number, []).append(reviews.select(chosen))
            if ranks[chosen][-1] == self._last_rank(number):
                self._write(number, shard_format.concatenate(self._waiting.pop(number)))

    def finish(self, encoding: Encoding, source_digest: str) -> Index | None:
        """Creates the index, which records both arguments.

        Returns None while shards are missing, and when another worker has just created another one.
        """
        numbers = range(self._groups[-1].stop)
        made = self._made(numbers)
        if len(made) < len(numbers):
            return None
        shards = tuple(made[number] for number in numbers)
        vocabulary, labels = encoding.vocabulary.digest, encoding.labels.names
        index = Index(self._dtype, vocabulary, labels, source_digest, shards)
        _warn_if_sorted(index, f"{self._store.url}/{self._split}")
        # Several workers may do so at a time, and a bucket limits how often an object is replaced.
        try:
            self._store.create(f"{self._split}/{shard_format.INDEX}", index.to_bytes())
        except FileExistsError:
            return None
        return index

    def _made(self, numbers: range) -> dict[int, Shard]:
        """Returns those shards of a range of numbers that the store has."""
        ends = (shard_format.number_in_name(number) for number in (numbers[0], numbers[-1]))
        same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(*ends, strict=False))
        folder, made = f"{self._split}/", dict[int, Shard]()
        for name in self._store.list(folder + "".join(digit for digit, _ in same)):
            shard = shard_format.parse_name(name.removeprefix(folder))
            if shard and shard.number in numbers:
                # Two processes at a time may have written the same shard: either one will do.
                made.setdefault(shard.number, shard)
        return made

    def _numbers(self, ranks: np.ndarray) -> np.ndarray:
        """Returns the number of each rank's shard."""
        groups = ranks // self._group_reviews
        return groups * _GROUP + ranks % self._group_reviews % self._group_sizes[groups]

    def _last_rank(self, number: int) -> int:
        """Returns the rank of a shard's last review."""
        group, turn = divmod(number, _GROUP)
        start = group * self._group_reviews
        end = min(start + self._group_reviews, self._reviews)
        return range(start + turn, end, len(self._groups[group]))[-1]

    def _write(self, number: int, reviews: PackedReviews) -> None:
        shard, data = shard_format.encode(reviews, number, self._dtype)
        self._store.write(f"{self._split}/{shard.name}", data)
        self._share.release(number)
        self.written += 1


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
