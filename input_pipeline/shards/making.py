"""Makes the sets of one split of a source, together with other workers.

making = SetMaking(store, worker, source, split, encoding, shard_reviews=65_536)
leases.complete(worker, [making], print)
making.indices["train"], making.written
"""

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from input_pipeline import streaming
from input_pipeline.encoding import Encoding
from input_pipeline.labels import LABELS_FILE
from input_pipeline.shards import format as shard_format
from input_pipeline.shards.format import Index, PackedReviews
from input_pipeline.shards.reader import open_set
from input_pipeline.shards.writer import ShardWriter
from input_pipeline.sources.source import Source
from input_pipeline.vocabulary import VOCABULARY_FILE
from storage.errors import UserError
from storage.leases import Worker
from storage.store import Store


@dataclasses.dataclass(frozen=True)
class Split:
    """A split of a source, and the sets to make of it."""

    name: str
    sets: dict[str, np.ndarray]  # name -> which reviews belong to it, <bool>[reviews]
    digest: str  # of its content

    @property
    def reviews(self) -> int:
        """Returns the number of its reviews."""
        return len(next(iter(self.sets.values())))


class _Part(NamedTuple):
    """The reviews of a batch that this worker adds to one set."""

    positions: np.ndarray  # in the batch, <int>[n]
    ranks: np.ndarray  # in the set, <int>[n]


class _Batch(NamedTuple):
    """A batch of reviews, and what this worker makes of it."""

    texts: tf.Tensor  # <string>[reviews]
    labels: list[str]
    parts: dict[str, _Part]  # by the name of their set


class SetMaking:
    """The sets of one split, of which this worker makes a part; a job of `leases.complete`."""

    def __init__(
        self,
        store: Store,
        worker: Worker,
        source: Source,
        split: Split,
        encoding: Encoding,
        shard_reviews: int,
    ):
        self._store, self._source, self._split, self._encoding = store, source, split, encoding
        self._dtype = shard_format.id_dtype(len(encoding.vocabulary))
        self._writers = {
            name: ShardWriter(store, worker, name, int(mask.sum()), shard_reviews, self._dtype)
            for name, mask in split.sets.items()
        }
        self.indices: dict[str, Index] = {}  # of the finished sets

    @property
    def written(self) -> int:
        """Returns how many shards this worker has made."""
        return sum(writer.written for writer in self._writers.values())

    def is_done(self) -> bool:
        """Finishes the sets whose shards are all there; returns True when all sets are finished.

        Raises UserError when a finished set has another encoding.
        """
        for name, writer in self._unfinished().items():
            index = self._finished(name) or writer.finish(self._encoding, self._split.digest)
            if index:
                self.indices[name] = index
        return not self._unfinished()

    def run(self) -> bool:
        """Reads the split once and makes free shards; returns False when there are none."""
        has_shards = [writer.start() for writer in self._unfinished().values()]
        if not any(has_shards):
            return False
        with streaming.progress(f"Preparing {self._split.name}", self._split.reviews) as advance:
            for batch, reviews in streaming.in_threads(self._tokenise, self._batches()):
                for (name, part), its_reviews in zip(batch.parts.items(), reviews, strict=True):
                    self._writers[name].add(part.ranks, its_reviews)
                advance(len(batch.labels))
        return True

    def _unfinished(self) -> dict[str, ShardWriter]:
        return {n: writer for n, writer in self._writers.items() if n not in self.indices}

    def _finished(self, name: str) -> Index | None:
        """Returns the index of a finished set, or None for one that is to be made."""
        if not self._store.exists(f"{name}/{shard_format.INDEX}"):
            return None
        index = open_set(self._store, name, cache=None).index
        if not index.fits(self._encoding):
            raise UserError(
                f"--workdir: {self._store.url}: {VOCABULARY_FILE} or {LABELS_FILE} is not what "
                f"{name}/{shard_format.INDEX} was made with; bring back the file, or give another "
                "folder"
            )
        return index

    def _batches(self) -> Iterator[_Batch]:
        """Reads the split, and claims shards as it comes to their first reviews."""
        writers, ranks = self._unfinished(), dict.fromkeys(self._split.sets, 0)
        split = self._split
        for start, texts, labels in streaming.numbered_batches(
            self._source, split.name, split.reviews
        ):
            parts = {}
            for name, writer in writers.items():
                positions = np.flatnonzero(split.sets[name][start : start + len(labels)])
                first = ranks[name]
                ranks[name] += len(positions)
                chosen = writer.choose(first, len(positions))
                parts[name] = _Part(positions[chosen], first + np.flatnonzero(chosen))
            yield _Batch(texts, labels, parts)

    def _tokenise(self, batch: _Batch) -> tuple[_Batch, list[PackedReviews]]:
        """Returns the batch with the reviews of its parts; others are not tokenised."""
        positions = np.concatenate([part.positions for part in batch.parts.values()])
        vocabulary, labels = self._encoding
        ids = vocabulary.encode(tf.gather(batch.texts, positions))
        names = [batch.labels[position] for position in positions]
        reviews = PackedReviews(
            ids.flat_values.numpy().astype(self._dtype),
            ids.row_lengths().numpy().astype(np.uint32),
            labels.numbers(names, self._split.name).astype(np.uint8),
        )
        sizes = [len(part.positions) for part in batch.parts.values()]
        owners = np.repeat(np.arange(len(sizes)), sizes)
        return batch, [reviews.select(owners == owner) for owner in range(len(sizes))]
