"""Reviews in memory, as token ids.

split = tokenize_split(source, "train", text.WORDS, config.data.cache_dir)
encoding = build_encoding(split, config.data)
examples = encode(split, "train", encoding)
examples = examples.shortened(max_tokens=512, keep="head_tail").take(ids)
"""

import collections
import dataclasses
import functools
import hashlib

import ml_collections
import numpy as np
import tensorflow as tf

from input_pipeline import labels, text
from input_pipeline import vocabulary as vocabularies
from input_pipeline.batch_plan import held_out
from input_pipeline.encoding import Encoding
from input_pipeline.tokenized import Tokenized


@dataclasses.dataclass(frozen=True)
class Examples:
    """Reviews as token ids, and their labels."""

    tokens: tf.RaggedTensor  # ids <int32>[reviews, (tokens)]
    labels: np.ndarray  # <int32>[reviews], their numbers; NO_LABEL of a review without one

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
        kept = text.kept_tokens(self.lengths, max_tokens, keep)
        lengths = np.minimum(self.lengths, max_tokens)
        return from_arrays(self.tokens.flat_values.numpy()[kept], lengths, self.labels)

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


def from_arrays(tokens: np.ndarray, lengths: np.ndarray, labels: np.ndarray) -> Examples:
    """Returns reviews of `lengths` <int>[reviews] with the ids `tokens` <int>[all tokens].

    They are on the CPU: the pipeline runs there, and a GPU has no memory to spare for them.
    """
    with tf.device("CPU:0"):
        ids = tf.RaggedTensor.from_row_lengths(
            tokens.astype(np.int32, copy=False), lengths.astype(np.int64), validate=False
        )
    return Examples(ids, labels.astype(np.int32, copy=False))


def together(first: Examples, second: Examples) -> Examples:
    """Returns the reviews of both, those of `first` with the lower numbers."""
    parts = (first.tokens.flat_values.numpy(), second.tokens.flat_values.numpy())
    lengths = np.concatenate([first.lengths, second.lengths])
    return from_arrays(
        np.concatenate(parts), lengths, np.concatenate([first.labels, second.labels])
    )


def build_encoding(
    split: Tokenized, data: ml_collections.ConfigDict, unlabelled: Tokenized | None = None
) -> Encoding:
    """Returns the most frequent tokens and the labels of the training split of a `data` config.

    Tokens of reviews held out for validation don't count, those of reviews without a label do.
    """
    counts = split.counts(~held_out(len(split), data.validation_share))
    if unlabelled:
        counts = collections.Counter(counts)
        counts.update(unlabelled.counts(np.ones(len(unlabelled), bool)))
    return Encoding(
        vocabularies.build(counts, data.vocabulary_size, text.rules_of(data.punctuation)),
        labels.choose(split.label_counts(), data.positive_label),
    )


def encode(split: Tokenized, name: str, encoding: Encoding) -> Examples:
    """Returns all reviews of a split as token ids.

    Raises UserError, which calls the split `name`, when a review has a label that is not in the
    encoding.
    """
    numbers = encoding.labels.numbers(split.labels, name)
    ids = split.ids(encoding.vocabulary)
    return from_arrays(ids, split.lengths, numbers[split.label_numbers])


def encode_unlabelled(split: Tokenized, encoding: Encoding) -> Examples:
    """Returns all reviews of a split as token ids without a label, whatever labels they have."""
    numbers = np.full(len(split), labels.NO_LABEL, np.int32)
    return from_arrays(split.ids(encoding.vocabulary), split.lengths, numbers)
