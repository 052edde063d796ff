"""Tokenised reviews in memory.

    encoding = build_encoding(source, config.data)
    examples = load(source, "train", encoding, cache_dir="~/.cache/longhaul")
    examples = examples.shortened(max_tokens=512, keep="head_tail").take(ids)

Vocabulary, labels and token ids are cached on disk, so that a restart doesn't tokenise again.
"""

import collections
import dataclasses
import functools
import hashlib
import itertools
import json

import ml_collections
import numpy as np
import tensorflow as tf

from input_pipeline import labels, text
from input_pipeline import vocabulary as vocabularies
from input_pipeline.batch_plan import held_out
from input_pipeline.cache import cached
from input_pipeline.encoding import Encoding
from input_pipeline.sources.source import Source
from input_pipeline.streaming import count_tokens, in_threads

_TOKENISE_BATCH, _CUT_TOGETHER = 1024, 2048  # reviews


@dataclasses.dataclass(frozen=True)
class Examples:
    """Reviews as token ids, and their labels."""

    tokens: tf.RaggedTensor  # ids <int32>[reviews, (tokens)]
    labels: np.ndarray  # <int32>[reviews], their numbers

    def __len__(self) -> int:
        return len(self.labels)

    @functools.cached_property
    def lengths(self) -> np.ndarray:
        """Returns the number of tokens of each review, <int64>[reviews]."""
        return self.tokens.row_lengths().numpy()

    def shortened(self, max_tokens: int, keep: str) -> "Examples":
        """Returns the part of each review that the model reads; see `text.keep_tokens`."""
        if self.lengths.max(initial=0) <= max_tokens:
            return self
        # In parts: the positions of tokens take many times the memory of their ids.
        starts = range(0, len(self), _CUT_TOGETHER)
        parts = [self.tokens[start : start + _CUT_TOGETHER] for start in starts]
        cut = [text.keep_tokens(part, max_tokens, keep) for part in parts]
        return Examples(tf.concat(cut, axis=0), self.labels)

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


def build_encoding(source: Source, data: ml_collections.ConfigDict) -> Encoding:
    """Returns the most frequent tokens and the labels of the training split of a `data` config.

    Tokens of reviews held out for validation don't count. Both are cached in `data.cache_dir`.
    """
    split, share = data.train_split, data.validation_share

    def make() -> list[np.ndarray]:
        texts, names = zip(*source.batches(split), strict=True)
        texts, labels = tf.concat(texts, axis=0), collections.Counter(itertools.chain(*names))
        texts = tf.boolean_mask(texts, ~held_out(len(texts), share))
        starts = range(0, len(texts), _TOKENISE_BATCH)
        counts = count_tokens(texts[start : start + _TOKENISE_BATCH] for start in starts)
        vocabulary = vocabularies.build(counts, data.vocabulary_size).to_bytes()
        contents = vocabulary, json.dumps(labels).encode()
        return [np.frombuffer(content, np.uint8) for content in contents]

    def key() -> list:
        return [source.fingerprint(split), text.NEWEST, share, data.vocabulary_size]

    vocabulary, counts = cached(data.cache_dir, "vocabulary", key, ["vocabulary", "labels"], make)
    return Encoding(
        vocabularies.from_bytes(vocabulary.tobytes(), "the cached vocabulary"),
        labels.choose(json.loads(counts.tobytes()), data.positive_label),
    )


def load(source: Source, split: str, encoding: Encoding, cache_dir: str) -> Examples:
    """Tokenises all reviews of a split, or takes them from `cache_dir`; '' caches nothing."""
    vocabulary, labels = encoding

    def encode(batch: tuple[tf.Tensor, list[str]]) -> tuple[tf.RaggedTensor, np.ndarray]:
        texts, names = batch
        return vocabulary.encode(texts), labels.numbers(names, split)

    def make() -> list[np.ndarray]:
        ids, numbers = zip(*in_threads(encode, source.batches(split)), strict=True)
        ids = tf.concat(ids, axis=0)
        return [ids.flat_values.numpy(), ids.row_lengths().numpy(), np.concatenate(numbers)]

    def key() -> list:
        return [source.fingerprint(split), encoding.digest]

    name, fields = split.partition("[")[0], ["tokens", "lengths", "labels"]
    tokens, lengths, numbers = cached(cache_dir, name, key, fields, make)
    return Examples(tf.RaggedTensor.from_row_lengths(tokens, lengths), numbers)
