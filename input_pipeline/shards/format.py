"""The format of prepared shards: their names, their bytes, and the index that makes them a set.

    shard, data = encode(reviews, number=3, dtype=id_dtype(vocabulary_size))
    store.write(f"train/{shard.name}", data)
    reviews = decode(parse_name(shard.name), data, dtype)

A set is a folder of a store:

    train/000000-65536-32801-15204113-2470-9a8b7c6d     a shard
    train/index.json                                    written last: without it there is no set

A shard's name holds its number and what the index needs to know of it: reviews, the sum of their
labels' numbers (of two labels: how many are positive), tokens, tokens of the longest review, and
the CRC-32C of its bytes. So an index is written from the
names alone, whichever process wrote the shards. The bytes are three little-endian arrays with
nothing between them: lengths <uint32>[reviews], token ids <uint16 or int32>[tokens] and labels
<uint8>[reviews]. An id takes two bytes while the vocabulary has at most 65,536 tokens, which
halves disk, network traffic and memory.
"""

import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Sequence

import numpy as np

from input_pipeline.encoding import Encoding
from input_pipeline.examples import Examples, from_arrays
from input_pipeline.labels import SENTIMENTS
from input_pipeline.text import kept_tokens
from storage import checksum, json_object
from storage.errors import UserError

INDEX = "index.json"
_FORMATS = (1, 2)  # the first, which had no labels, is still read
_LENGTHS, _LABELS = np.dtype("<u4"), np.dtype("u1")
_ID_DTYPES: dict[str, np.dtype] = {"<u2": np.dtype("<u2"), "<i4": np.dtype("<i4")}
_NAME = re.compile(r"(\d{6,})-(\d+)-(\d+)-(\d+)-(\d+)-([0-9a-f]{8})")


def id_dtype(vocabulary_size: int) -> np.dtype:
    """Returns the smallest dtype that holds all token ids and that TensorFlow can gather from."""
    return _ID_DTYPES["<u2" if vocabulary_size <= 2**16 else "<i4"]


@dataclasses.dataclass(frozen=True)
class PackedReviews:
    """Reviews as the arrays of a shard."""

    tokens: np.ndarray  # ids <uint16 or int32>[tokens], one review after the other
    lengths: np.ndarray  # <uint32>[reviews], tokens of each review, at least 1
    labels: np.ndarray  # their numbers <uint8>[reviews]

    def __len__(self) -> int:
        return len(self.lengths)

    def select(self, chosen: np.ndarray) -> "PackedReviews":
        """Returns the reviews where `chosen` <bool>[reviews] is True."""
        tokens = self.tokens[np.repeat(chosen, self.lengths)]
        return PackedReviews(tokens, self.lengths[chosen], self.labels[chosen])

    def shortened(self, max_tokens: int, keep: str) -> "PackedReviews":
        """Returns the part of each review that the model reads; see `text.keep_tokens`."""
        if self.lengths.max(initial=0) <= max_tokens:
            return self
        kept = kept_tokens(self.lengths, max_tokens, keep)
        lengths = np.minimum(self.lengths, max_tokens)
        return PackedReviews(self.tokens[kept], lengths, self.labels)

    def examples(self) -> Examples:
        """Returns the reviews as the pipeline's tensors."""
        return from_arrays(self.tokens, self.lengths, self.labels)


def concatenate(parts: Sequence[PackedReviews]) -> PackedReviews:
    """Returns the reviews of one or more parts, in their order."""
    return PackedReviews(
        np.concatenate([part.tokens for part in parts]),
        np.concatenate([part.lengths for part in parts]),
        np.concatenate([part.labels for part in parts]),
    )


@dataclasses.dataclass(frozen=True)
class Shard:
    """What is known of a shard without reading it. The field names are keys of the index."""

    number: int
    reviews: int
    label_sum: int  # of the reviews' label numbers
    tokens: int
    longest: int  # tokens of the longest review
    crc32c: int

    @property
    def name(self) -> str:
        """Returns the name of the shard's object within the folder of its set."""
        numbers = f"{self.reviews}-{self.label_sum}-{self.tokens}-{self.longest}"
        return f"{number_in_name(self.number)}-{numbers}-{self.crc32c:08x}"

    def size(self, dtype: np.dtype) -> int:
        """Returns the number of the shard's bytes with ids of this dtype."""
        return self.reviews * (_LENGTHS.itemsize + _LABELS.itemsize) + self.tokens * dtype.itemsize


def number_in_name(number: int) -> str:
    """Returns the beginning of the name of the shard with this number."""
    return f"{number:06}"


def parse_name(name: str) -> Shard | None:
    """Returns the shard of this name, or None when another object has it."""
    if not (match := _NAME.fullmatch(name)):
        return None
    number, reviews, label_sum, tokens, longest = map(int, match.groups()[:-1])
    return Shard(number, reviews, label_sum, tokens, longest, crc32c=int(match[6], 16))


def encode(reviews: PackedReviews, number: int, dtype: np.dtype) -> tuple[Shard, bytes]:
    """Returns the shard of this number with the reviews, and its bytes, with ids of `dtype`."""
    arrays = (reviews.lengths, _LENGTHS), (reviews.tokens, dtype), (reviews.labels, _LABELS)
    data = b"".join(array.astype(kind, copy=False).tobytes() for array, kind in arrays)
    lengths = reviews.lengths
    counts = int(reviews.labels.sum()), len(reviews.tokens), int(lengths.max())
    return Shard(number, len(reviews), *counts, checksum.of(data)), data


def decode(shard: Shard, data: bytes, dtype: np.dtype) -> PackedReviews:
    """Returns the reviews in a shard's bytes as views of them. The caller checks the checksum."""
    end = shard.reviews * _LENGTHS.itemsize
    return PackedReviews(
        np.frombuffer(data, dtype, shard.tokens, end),
        np.frombuffer(data, _LENGTHS, shard.reviews),
        np.frombuffer(data, _LABELS, shard.reviews, end + shard.tokens * dtype.itemsize),
    )


@dataclasses.dataclass(frozen=True)
class Index:
    """The shards of a finished set and what they were made of."""

    dtype: np.dtype  # of the token ids
    vocabulary_digest: str  # `Vocabulary.digest` of the vocabulary that the ids belong to
    labels: tuple[str, ...]  # names in the order of their numbers
    source_digest: str  # digest of the fingerprint of the prepared split
    shards: tuple[Shard, ...]

    @functools.cached_property
    def reviews_per_shard(self) -> tuple[int, ...]:
        """Returns the number of reviews of each shard."""
        return tuple(shard.reviews for shard in self.shards)

    def fits(self, encoding: Encoding) -> bool:
        """Returns True when the shards were made with this encoding."""
        wanted = (encoding.vocabulary.digest, encoding.labels.names)
        return (self.vocabulary_digest, self.labels) == wanted

    @functools.cached_property
    def digest(self) -> str:
        """Returns a SHA-256 in hex over the data, independent of where it was prepared."""
        names = [self.dtype.str, self.vocabulary_digest, *(shard.name for shard in self.shards)]
        return hashlib.sha256(json.dumps(names).encode()).hexdigest()

    def to_bytes(self) -> bytes:
        """Returns the content of `index.json`. The sums in it are for people who read it."""
        shards = self.shards
        content = {
            "format": _FORMATS[-1],
            "token": self.dtype.str,
            "vocabulary": self.vocabulary_digest,
            "labels": self.labels,
            "source": self.source_digest,
            "reviews": sum(self.reviews_per_shard),
            "label_sum": sum(shard.label_sum for shard in shards),
            "words": sum(shard.tokens for shard in shards),
            "longest": max(shard.longest for shard in shards),
            "bytes": sum(shard.size(self.dtype) for shard in shards),
            "shards": [
                {"name": s.name, "size": s.size(self.dtype), **dataclasses.asdict(s)}
                for s in shards
            ],
        }
        return (json.dumps(content, indent=1) + "\n").encode()


def index_from_bytes(data: bytes, name: str) -> Index:
    """Parses an index; UserError, which calls it `name`, when the bytes are not an index."""
    try:
        content = json_object.parse(data)
        if content["format"] not in _FORMATS:
            known = " and ".join(map(str, _FORMATS))
            raise ValueError(f"its format is {content['format']!r}, known are {known}")
        names = [shard["name"] for shard in content["shards"]]
        shards = tuple(shard for shard in map(parse_name, names) if shard)
        if not names or [shard.number for shard in shards] != [*range(len(names))]:
            raise ValueError("its shards are not numbered from 0 on")
        dtype = _ID_DTYPES[content["token"]]
        labels = tuple(map(str, content.get("labels", SENTIMENTS.names)))
        vocabulary, source = str(content["vocabulary"]), str(content["source"])
        return Index(dtype, vocabulary, labels, source, shards)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"config.data.source: {name} is not an index of shards ({error}); delete it and run "
            "the same --mode=prepare again, which keeps the shards"
        ) from error
