"""Tokenised reviews in memory.

    vocabulary = build_vocabulary(source, "train", 0.08, 20_000, cache_dir="~/.cache/longhaul")
    examples = load(source, "train", vocabulary, cache_dir="~/.cache/longhaul")
    examples = examples.shortened(max_tokens=512, keep="head_tail").take(ids)

Vocabulary and token ids are cached on disk, so that a restart doesn't tokenise again.
"""

import dataclasses
import functools
import hashlib

import numpy as np
import tensorflow as tf

from input_pipeline import text
from input_pipeline import vocabulary as vocabularies
from input_pipeline.batch_plan import held_out
from input_pipeline.cache import cached
from input_pipeline.sources.source import Source
from input_pipeline.streaming import count_tokens, in_threads
from input_pipeline.vocabulary import Vocabulary

_TOKENISE_BATCH = 1024  # reviews


@dataclasses.dataclass(frozen=True)
class Examples:
    """Reviews as token ids, and their labels."""

    tokens: tf.RaggedTensor  # ids <int32>[reviews, (tokens)]
    labels: np.ndarray  # <int32>[reviews], 0 or 1

    def __len__(self) -> int:
        return len(self.labels)

    @functools.cached_property
    def lengths(self) -> np.ndarray:
        """Returns the number of tokens of each review, <int64>[reviews]."""
        return self.tokens.row_lengths().numpy()

    def shortened(self, max_tokens: int, keep: str) -> "Examples":
        """Returns the part of each review that the model reads; see `text.keep_tokens`."""
        return Examples(text.keep_tokens(self.tokens, max_tokens, keep), self.labels)

    def take(self, ids: np.ndarray) -> "Examples":
        """Returns the reviews with the indices `ids` <int>[n], in that order."""
        return Examples(tf.gather(self.tokens, ids), self.labels[ids])

    @functools.cached_property
    def digest(self) -> str:
        """Returns a SHA-256 in hex over token ids, lengths and labels, equal for equal data."""
        digest = hashlib.sha256()
        for array in (self.tokens.flat_values.numpy(), self.lengths, self.labels):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def build_vocabulary(
    source: Source, split: str, validation_share: float, size: int, cache_dir: str
) -> Vocabulary:
    """Returns the most frequent tokens of a split, not counting reviews held out for validation.

    The vocabulary has `size` entries at most. It is cached in `cache_dir`; '' caches nothing.
    """

    def make() -> list[np.ndarray]:
        texts = tf.concat([texts for texts, _ in source.batches(split)], axis=0)
        texts = tf.boolean_mask(texts, ~held_out(len(texts), validation_share))
        starts = range(0, len(texts), _TOKENISE_BATCH)
        counts = count_tokens(texts[start : start + _TOKENISE_BATCH] for start in starts)
        file = vocabularies.build(counts, size).to_bytes()
        return [np.frombuffer(file, np.uint8)]

    key = [source.fingerprint(split), text.RULES, validation_share, size]
    (file,) = cached(cache_dir, "vocabulary", key, ["words"], make)
    return vocabularies.from_bytes(file.tobytes(), "the cached vocabulary")


def load(source: Source, split: str, vocabulary: Vocabulary, cache_dir: str) -> Examples:
    """Tokenises all reviews of a split, or takes them from `cache_dir`; '' caches nothing."""

    def encode(batch: tuple[tf.Tensor, np.ndarray]) -> tuple[tf.RaggedTensor, np.ndarray]:
        texts, labels = batch
        return vocabulary.lookup(text.tokenize(texts)), labels

    def make() -> list[np.ndarray]:
        ids, labels = zip(*in_threads(encode, source.batches(split)), strict=True)
        ids = tf.concat(ids, axis=0)
        return [ids.flat_values.numpy(), ids.row_lengths().numpy(), np.concatenate(labels)]

    key = [source.fingerprint(split), text.RULES, vocabulary.digest]
    name, fields = split.partition("[")[0], ["tokens", "lengths", "labels"]
    tokens, lengths, labels = cached(cache_dir, name, key, fields, make)
    return Examples(tf.RaggedTensor.from_row_lengths(tokens, lengths), labels)
