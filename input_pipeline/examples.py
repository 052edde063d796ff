"""Tokenised reviews in memory.

    words = build_vocabulary(source, "train", 0.08, 20_000, cache_dir="~/.cache/longhaul")
    examples = load(source, "train", words, cache_dir="~/.cache/longhaul")
    examples = examples.shortened(max_tokens=512, keep="head_tail").take(ids)

Both are kept on disk, so that a restart doesn't tokenise again.
"""

import dataclasses
import functools
import hashlib

import numpy as np
import tensorflow as tf

from input_pipeline import text, vocabulary
from input_pipeline.batch_plan import held_out
from input_pipeline.cache import cached
from input_pipeline.sources.registry import Source
from input_pipeline.streaming import count_words, in_threads
from input_pipeline.vocabulary import Vocabulary

_TOKENISE_BATCH = 1024


@dataclasses.dataclass(frozen=True)
class Examples:
    """Reviews as ids, and their labels."""

    tokens: tf.RaggedTensor  # <int32>[reviews, (words)]
    labels: np.ndarray  # <int32>[reviews], 0 or 1

    def __len__(self) -> int:
        return len(self.labels)

    @functools.cached_property
    def lengths(self) -> np.ndarray:
        """Words of each review <int64>[reviews]."""
        return self.tokens.row_lengths().numpy()

    def shortened(self, max_tokens: int, keep: str) -> "Examples":
        """The part of each review that the model reads; see `text.keep_tokens`."""
        return Examples(text.keep_tokens(self.tokens, max_tokens, keep), self.labels)

    def take(self, ids: np.ndarray) -> "Examples":
        """The reviews of these indices <int>[n]."""
        return Examples(tf.gather(self.tokens, ids), self.labels[ids])

    @functools.cached_property
    def digest(self) -> str:
        """Tells data apart whatever machine it lies on: SHA-256 over ids, lengths and labels."""
        digest = hashlib.sha256()
        for array in (self.tokens.flat_values.numpy(), self.lengths, self.labels):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def build_vocabulary(
    source: Source, split: str, held_out_share: float, size: int, cache_dir: str
) -> Vocabulary:
    """The most frequent words of a split, but for the reviews held out from training."""

    def make() -> list[np.ndarray]:
        texts = tf.concat([texts for texts, _ in source.batches(split)], axis=0)
        texts = tf.boolean_mask(texts, ~held_out(len(texts), held_out_share))
        starts = range(0, len(texts), _TOKENISE_BATCH)
        counts = count_words(texts[start : start + _TOKENISE_BATCH] for start in starts)
        file = vocabulary.build(counts, size).to_bytes()
        return [np.frombuffer(file, np.uint8)]

    key = [source.fingerprint(split), text.RULES, held_out_share, size]
    (file,) = cached(cache_dir, "vocabulary", key, ["words"], make)
    return vocabulary.from_bytes(file.tobytes(), "the cached vocabulary")


def load(source: Source, split: str, words: Vocabulary, cache_dir: str) -> Examples:
    """All reviews of a split, from the cache when it has them; '' caches nothing."""

    def encode(batch: tuple[tf.Tensor, np.ndarray]) -> tuple[tf.RaggedTensor, np.ndarray]:
        texts, labels = batch
        return words.lookup(text.tokenize(texts)), labels

    def make() -> list[np.ndarray]:
        ids, labels = zip(*in_threads(encode, source.batches(split)), strict=True)
        ids = tf.concat(ids, axis=0)
        return [ids.flat_values.numpy(), ids.row_lengths().numpy(), np.concatenate(labels)]

    key = [source.fingerprint(split), text.RULES, words.digest]
    name, fields = split.partition("[")[0], ["tokens", "lengths", "labels"]
    tokens, lengths, labels = cached(cache_dir, name, key, fields, make)
    return Examples(tf.RaggedTensor.from_row_lengths(tokens, lengths), labels)
