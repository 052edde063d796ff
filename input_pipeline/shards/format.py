"""Tokenised reviews in parts, for sets that memory doesn't hold.

    shards = open_set(open_store("gs://bucket/imdb"), "train", cache=None)
    len(shards), shards.index.digest
    reviews = shards.block(3)             # the NumPy arrays of the fourth shard, verified

A set is a folder of a store:

    train/000000-65536-32801-15204113-2470-9a8b7c6d     a shard
    train/index.json                                    written last: without it there is no set

A shard's name is its number, then what the index wants to know of it: reviews, how many of them
are positive, words, words of the longest, and the crc32c of its bytes. So an index is written from
the names alone, whichever process has written the shards. The bytes are three little-endian arrays
with nothing between: lengths <uint32>[reviews], ids <uint16 or int32>[words] and labels
<uint8>[reviews]. Ids take two bytes as long as the vocabulary has no more than 65,536 words: half
the disk, network and memory of four.
"""

import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from input_pipeline.examples import Examples
from input_pipeline.shards.cache import ShardCache
from storage import checksum
from storage.errors import Corrupt, UserError
from storage.store import Store

INDEX = "index.json"
_FORMAT = 1
_SHORTENED_TOGETHER = 4096  # reviews
_LENGTHS, _LABELS = np.dtype("<u4"), np.dtype("u1")
_NAME = re.compile(r"(\d{6,})-(\d+)-(\d+)-(\d+)-(\d+)-([0-9a-f]{8})")
_ADVICE = "delete it and the index.json beside it, and run the same --mode=prepare again"


def token_type(vocabulary_size: int) -> np.dtype:
    """The smallest type that holds all ids and that TensorFlow gathers from."""
    return np.dtype("<u2" if vocabulary_size <= 2**16 else "<i4")


@dataclasses.dataclass(frozen=True)
class Reviews:
    """Reviews as ids, as they stand in a shard."""

    tokens: np.ndarray  # <uint16 or int32>[words], one review after the other
    lengths: np.ndarray  # <uint32>[reviews], in words, at least 1
    labels: np.ndarray  # <uint8>[reviews], 0 or 1

    def __len__(self) -> int:
        return len(self.lengths)

    def select(self, keep: np.ndarray) -> "Reviews":
        """Those where `keep` <bool>[reviews] is True."""
        words = np.repeat(keep, self.lengths)
        return Reviews(self.tokens[words], self.lengths[keep], self.labels[keep])

    def shortened(self, max_tokens: int, keep: str) -> "Reviews":
        """The part of each review that the model reads; see `text.keep_tokens`."""
        if self.lengths.max(initial=0) <= max_tokens:
            return self
        ends = np.cumsum(self.lengths, dtype=np.int64)
        parts = []
        # In parts, since positions take several times the memory of the ids.
        for first in range(0, len(self), _SHORTENED_TOGETHER):
            rows = slice(first, first + _SHORTENED_TOGETHER)
            words = self.tokens[ends[first] - self.lengths[first] : ends[rows][-1]]
            part = Reviews(words, self.lengths[rows], self.labels[rows])
            words = part.examples().shortened(max_tokens, keep).tokens.flat_values.numpy()
            parts.append(words.astype(self.tokens.dtype))
        lengths = np.minimum(self.lengths, max_tokens)
        return Reviews(np.concatenate(parts), lengths, self.labels)

    def examples(self) -> Examples:
        """The same as the rest of the pipeline has them."""
        # Where the pipeline is; a GPU has no place for the reviews.
        with tf.device("CPU:0"):
            tokens = tf.RaggedTensor.from_row_lengths(
                self.tokens.astype(np.int32), self.lengths.astype(np.int64), validate=False
            )
        return Examples(tokens, self.labels.astype(np.int32))


def joined(parts: Sequence[Reviews]) -> Reviews:
    """One after the other; `parts` are not none."""
    return Reviews(
        np.concatenate([part.tokens for part in parts]),
        np.concatenate([part.lengths for part in parts]),
        np.concatenate([part.labels for part in parts]),
    )


@dataclasses.dataclass(frozen=True)
class Shard:
    """What is known of a shard without reading it."""

    number: int
    reviews: int
    positive: int  # reviews with label 1
    tokens: int
    longest: int  # words
    crc32c: int

    @property
    def name(self) -> str:
        """Of its object, within the folder of the set."""
        numbers = f"{self.reviews}-{self.positive}-{self.tokens}-{self.longest}"
        return f"{self.number:06}-{numbers}-{self.crc32c:08x}"

    def size(self, token: np.dtype) -> int:
        """Its bytes, with ids of that type."""
        return self.reviews * (_LENGTHS.itemsize + _LABELS.itemsize) + self.tokens * token.itemsize


def parse_name(name: str) -> Shard | None:
    """The shard of that name; None for a name of something else."""
    if not (match := _NAME.fullmatch(name)):
        return None
    *numbers, crc32c = match.groups()
    return Shard(*map(int, numbers), int(crc32c, 16))


def encode(reviews: Reviews, number: int, token: np.dtype) -> tuple[Shard, bytes]:
    """A shard and its bytes."""
    arrays = (reviews.lengths, _LENGTHS), (reviews.tokens, token), (reviews.labels, _LABELS)
    data = b"".join(array.astype(kind, copy=False).tobytes() for array, kind in arrays)
    lengths = reviews.lengths
    counts = int(reviews.labels.sum()), len(reviews.tokens), int(lengths.max())
    return Shard(number, len(reviews), *counts, checksum.of(data)), data


def decode(shard: Shard, data: bytes, token: np.dtype) -> Reviews:
    """The reviews in a shard's bytes, whose checksum has been compared; they are not copied."""
    end = shard.reviews * _LENGTHS.itemsize
    return Reviews(
        np.frombuffer(data, token, shard.tokens, end),
        np.frombuffer(data, _LENGTHS, shard.reviews),
        np.frombuffer(data, _LABELS, shard.reviews, end + shard.tokens * token.itemsize),
    )


@dataclasses.dataclass(frozen=True)
class Index:
    """What makes shards a set."""

    token: np.dtype
    vocabulary: str  # digest of the words that the ids stand for
    source: str  # digest of the fingerprint of what was prepared
    shards: tuple[Shard, ...]

    @functools.cached_property
    def reviews(self) -> tuple[int, ...]:
        """Of each shard."""
        return tuple(shard.reviews for shard in self.shards)

    @functools.cached_property
    def digest(self) -> str:
        """Tells data apart whatever machine it was prepared on: SHA-256, in hex."""
        names = [self.token.str, self.vocabulary, *(shard.name for shard in self.shards)]
        return hashlib.sha256(json.dumps(names).encode()).hexdigest()

    def to_bytes(self) -> bytes:
        """The object at the end of a set, with sums for whoever reads it."""
        shards = self.shards
        content = {
            "format": _FORMAT,
            "token": self.token.str,
            "vocabulary": self.vocabulary,
            "source": self.source,
            "reviews": sum(self.reviews),
            "positive": sum(shard.positive for shard in shards),
            "words": sum(shard.tokens for shard in shards),
            "longest": max(shard.longest for shard in shards),
            "bytes": sum(shard.size(self.token) for shard in shards),
            "shards": [
                {"name": s.name, "size": s.size(self.token), **dataclasses.asdict(s)}
                for s in shards
            ],
        }
        return (json.dumps(content, indent=1) + "\n").encode()


def index_from_bytes(data: bytes, name: str) -> Index:
    """Reads an index; UserError, naming it as `name`, when it isn't one."""
    try:
        content = json.loads(data)
        if content["format"] != _FORMAT:
            raise ValueError(f"its format is {content['format']!r}, known is {_FORMAT}")
        shards = tuple(parse_name(shard["name"]) for shard in content["shards"])
        if not shards or [shard and shard.number for shard in shards] != [*range(len(shards))]:
            raise ValueError("its shards are not numbered from 0 on")
        token = {"<u2": np.dtype("<u2"), "<i4": np.dtype("<i4")}[content["token"]]
        return Index(token, str(content["vocabulary"]), str(content["source"]), shards)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"config.data.source: {name} is no index of shards ({error}); delete it and run the "
            "same --mode=prepare again, which keeps the shards"
        ) from error


@dataclasses.dataclass(frozen=True)
class ShardSet:
    """A whole set, of which a shard is read when it is asked for."""

    store: Store
    split: str
    index: Index
    cache: ShardCache | None  # None reads from the store each time

    def __len__(self) -> int:
        return sum(self.index.reviews)

    def block(self, number: int) -> Reviews:
        """The reviews of one shard; UserError when it can't be had intact."""
        shard, token = self.index.shards[number], self.index.token

        def intact(data: bytes) -> bool:
            return len(data) == shard.size(token) and checksum.of(data) == shard.crc32c

        def fetch() -> bytes:
            name = f"{self.split}/{shard.name}"
            try:
                data = self.store.read(name)
            except FileNotFoundError as error:
                raise UserError(
                    f"config.data.source: {self.store.url}/{name} is missing; {_ADVICE}"
                ) from error
            if not intact(data):
                raise Corrupt(f"config.data.source: {self.store.url}/{name} is damaged; {_ADVICE}")
            return data

        # Sets of the same name may share a cache, and a name alone would have 32 bits to differ.
        name = f"{self.index.digest[:16]}-{shard.name}"
        data = self.cache.read(name, intact, fetch) if self.cache else fetch()
        return decode(shard, data, token)

    def examples(self) -> Examples:
        """All reviews in memory, for a set that fits."""
        return joined([self.block(number) for number in range(len(self.index.shards))]).examples()


def open_set(store: Store, split: str, cache: ShardCache | None) -> ShardSet:
    """The set of that name in a store; UserError when it isn't there or not finished."""
    name = f"{split}/{INDEX}"
    try:
        data = store.read(name)
    except FileNotFoundError as error:
        raise UserError(
            f"config.data.source: {store.url}/{name} is missing; --mode=prepare "
            f"--workdir={store.url} makes the sets train, validation and test, or finishes them"
        ) from error
    return ShardSet(store, split, index_from_bytes(data, f"{store.url}/{name}"), cache)
