"""Reads prepared shards, one at a time or all of them.

    shards = open_set(open_store("gs://bucket/imdb"), "train", cache=None)
    len(shards), shards.index.digest
    reviews = shards.read_shard(3)        # the NumPy arrays of the fourth shard, verified

`shards.format` describes the files.
"""

import dataclasses

from input_pipeline.examples import Examples
from input_pipeline.shards import format as shard_format
from input_pipeline.shards.cache import ShardCache
from input_pipeline.shards.format import Index, PackedReviews
from storage import checksum
from storage.errors import Corrupt, UserError
from storage.store import Store

_ADVICE = "delete it and the index.json beside it, and run the same --mode=prepare again"


@dataclasses.dataclass(frozen=True)
class ShardSet:
    """A finished set. `len` is its number of reviews; a shard is read when it is asked for."""

    store: Store
    split: str
    index: Index
    cache: ShardCache | None  # None reads from the store each time

    def __len__(self) -> int:
        return sum(self.index.reviews_per_shard)

    def read_shard(self, number: int) -> PackedReviews:
        """Returns the reviews of one shard; UserError when it is missing or damaged."""
        shard, dtype = self.index.shards[number], self.index.dtype

        def is_intact(data: bytes) -> bool:
            return len(data) == shard.size(dtype) and checksum.of(data) == shard.crc32c

        def fetch() -> bytes:
            name = f"{self.split}/{shard.name}"
            try:
                data = self.store.read(name)
            except FileNotFoundError as error:
                raise UserError(
                    f"config.data.source: {self.store.url}/{name} is missing; {_ADVICE}"
                ) from error
            if not is_intact(data):
                raise Corrupt(f"config.data.source: {self.store.url}/{name} is damaged; {_ADVICE}")
            return data

        # Sets may share a cache folder; the digest keeps shards of the same name apart.
        name = f"{self.index.digest[:16]}-{shard.name}"
        data = self.cache.read(name, is_intact, fetch) if self.cache else fetch()
        return shard_format.decode(shard, data, dtype)

    def examples(self) -> Examples:
        """Reads all reviews into memory."""
        shards = range(len(self.index.shards))
        return shard_format.concatenate([self.read_shard(number) for number in shards]).examples()


def open_set(store: Store, split: str, cache: ShardCache | None) -> ShardSet:
    """Opens the set in the folder `split` of a store; UserError when it is not finished."""
    name = f"{split}/{shard_format.INDEX}"
    try:
        data = store.read(name)
    except FileNotFoundError as error:
        raise UserError(
            f"config.data.source: {store.url}/{name} is missing; --mode=prepare "
            f"--workdir={store.url} makes the sets train, validation and test, or finishes them"
        ) from error
    return ShardSet(store, split, shard_format.index_from_bytes(data, f"{store.url}/{name}"), cache)
