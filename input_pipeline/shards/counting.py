"""Counts the tokens of a source's reviews together with other workers.

    counting = TokenCounts(store, worker, source, "train", chosen, rules, is_needed)
    leases.complete(worker, [counting], print)
    counting.total()

The reviews are counted in up to 64 parts, each of which is an object of the store until all sets
are made. So a killed worker loses only the part that it was counting.
"""

import collections
import json
import re
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from input_pipeline import streaming
from input_pipeline.shards.share import Share
from input_pipeline.sources.source import READ_BATCH, Source
from storage import leases
from storage.store import Store

_PARTS = 64
# So many reviews of average length take a second to count, and their counts 30 ms to store and add.
_SMALLEST_PART = 8 * READ_BATCH


class TokenCounts:
    """How often each token occurs in the reviews of a split that `chosen` <bool>[reviews] marks."""

    def __init__(
        self,
        store: Store,
        worker: leases.Worker,
        source: Source,
        split: str,
        chosen: np.ndarray,
        rules: int,
        is_needed: Callable[[], bool],
    ):
        """Counts by a version of the text rules.

        `is_needed` returns False once another worker has made the vocabulary of the counts.
        """
        self._store, self._source, self._split = store, source, split
        self._chosen, self._rules, self._is_needed = chosen, rules, is_needed
        self._part_reviews = max(-(-len(chosen) // _PARTS), _SMALLEST_PART)
        self._parts = range(-(-len(chosen) // self._part_reviews))
        groups = [range(number, number + 1) for number in self._parts]
        self._share = Share(worker, "tokens", groups, self._counted)

    def is_done(self) -> bool:
        """Returns True when all parts are counted, or the counts are not needed."""
        return len(self._counted(self._parts)) == len(self._parts)

    def run(self) -> bool:
        """Counts free parts; returns False when there are none."""
        if not self._share.start():
            return False
        with streaming.progress("Counting tokens", len(self._chosen)) as advance:
            batches = self._batches(advance)
            for number, counts in streaming.count_tokens_by_part(batches, self._rules):
                self._store.write(self._name(number), json.dumps(counts).encode())
                self._share.release(number)
        return True

    def total(self) -> collections.Counter[str]:
        """Returns the sum over all parts, once they are counted.

        Raises FileNotFoundError when they were removed, since all sets are made.
        """
        counts: collections.Counter[str] = collections.Counter()
        for number in self._parts:
            counts.update(json.loads(self._store.read(self._name(number))))
        return counts

    def _batches(self, advance: Callable[[int], object]) -> Iterator[tuple[int, tf.Tensor]]:
        """Yields (part, chosen texts) of the parts that this worker counts."""
        size = self._part_reviews
        batches = streaming.numbered_batches(self._source, self._split, len(self._chosen))
        for start, texts, labels in batches:
            end = start + len(labels)
            for number in range(start // size, -(-end // size)):
                first, last = max(start, number * size), min(end, (number + 1) * size)
                if first == number * size:
                    self._share.enter(number)
                if number in self._share.mine:
                    chosen = self._chosen[first:last]
                    yield number, tf.boolean_mask(texts[first - start : last - start], chosen)
            advance(len(labels))

    def _counted(self, numbers: range) -> list[int]:
        """Returns those of the parts `numbers` that are counted; all, when none is needed."""
        if not self._is_needed():
            return list(numbers)
        pattern = re.compile(re.escape(self._prefix()) + r"(\d+)")
        matches = filter(None, map(pattern.fullmatch, self._store.list(self._prefix())))
        return [number for match in matches if (number := int(match[1])) in numbers]

    def _prefix(self) -> str:
        # Parts of another size, and counts by other text rules, have other names.
        return f"{leases.FOLDER}tokens-rules{self._rules}-{self._part_reviews}-"

    def _name(self, number: int) -> str:
        return f"{self._prefix()}{number}"
