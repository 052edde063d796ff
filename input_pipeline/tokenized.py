"""The tokens of a split's reviews, before a vocabulary gives them their ids.

    split = tokenize_split(source, "train", text.NEWEST, cache_dir="~/.cache/longhaul")
    split.counts(~held_out)["film"]     # how often the token occurs in these reviews
    split.ids(vocabulary)               # <int32>[all tokens], review after review

They are cached on disk, so that neither a restart nor another vocabulary tokenises again.
"""

import dataclasses
import json

import numpy as np
import tensorflow as tf

from input_pipeline import text
from input_pipeline.cache import cached
from input_pipeline.sources.source import Source
from input_pipeline.streaming import in_threads, numbered
from input_pipeline.vocabulary import UNKNOWN, Vocabulary

_FIELDS = ("tokens", "labels", "numbers", "lengths", "label_numbers")  # of the cached file


@dataclasses.dataclass(frozen=True)
class Tokenized:
    """Reviews as numbers of their different tokens, and of their different labels."""

    tokens: list[str]  # the different ones, in alphabetical order
    labels: list[str]  # the different ones, as the source spells them, in order of occurrence
    numbers: np.ndarray  # <int32>[all tokens]: which of the tokens, review after review
    lengths: np.ndarray  # <int64>[reviews], tokens of each
    label_numbers: np.ndarray  # <int32>[reviews]: which of the labels

    def __len__(self) -> int:
        return len(self.lengths)

    def counts(self, chosen: np.ndarray) -> dict[str, int]:
        """Returns how often each token occurs in the reviews `chosen` <bool>[reviews]."""
        numbers = self.numbers[np.repeat(chosen, self.lengths)]
        counts = np.bincount(numbers, minlength=len(self.tokens))
        return {t: n for t, n in zip(self.tokens, counts.tolist(), strict=True) if n}

    def label_counts(self) -> dict[str, int]:
        """Returns how many reviews have each label."""
        counts = np.bincount(self.label_numbers, minlength=len(self.labels))
        return dict(zip(self.labels, counts.tolist(), strict=True))

    def ids(self, vocabulary: Vocabulary) -> np.ndarray:
        """Returns the ids <int32>[all tokens], review after review."""
        ids = {token: number for number, token in enumerate(vocabulary.tokens)}
        return np.array([ids.get(token, UNKNOWN) for token in self.tokens], np.int32)[self.numbers]


def tokenize_split(source: Source, split: str, rules: int, cache_dir: str) -> Tokenized:
    """Tokenises a split by a version of the text rules, or takes its tokens from `cache_dir`.

    '' caches nothing.
    """

    def make() -> list[np.ndarray]:
        made = _tokenize(source, split, rules)
        tokens, labels = "\n".join(made.tokens).encode(), json.dumps(made.labels).encode()
        texts = [np.frombuffer(content, np.uint8) for content in (tokens, labels)]
        return [*texts, made.numbers, made.lengths, made.label_numbers]

    def key() -> list:
        return [source.fingerprint(split), rules]

    name = split.partition("[")[0]
    tokens, labels, *numbers = cached(cache_dir, name, key, _FIELDS, make)
    names = tokens.tobytes().decode().split("\n")
    return Tokenized(names, json.loads(labels.tobytes()), *numbers)


def _tokenize(source: Source, split: str, rules: int) -> Tokenized:
    def tokenize(batch: tuple[tf.Tensor, list[str]]) -> tuple:
        texts, names = batch
        tokens = text.tokenize(texts, rules)
        different, numbers = tf.unique(tokens.flat_values)
        return different.numpy().tolist(), numbers.numpy(), tokens.row_lengths().numpy(), names

    tokens: dict[bytes, int] = {}  # numbered as they first occur
    labels: dict[str, int] = {}
    parts = []
    for different, numbers, lengths, names in in_threads(tokenize, source.batches(split)):
        parts.append((numbered(different, tokens)[numbers], lengths, numbered(names, labels)))
    numbers, lengths, label_numbers = map(np.concatenate, zip(*parts, strict=True))
    ordered = sorted(tokens)
    places = np.empty(len(ordered), np.int32)
    places[[tokens[token] for token in ordered]] = np.arange(len(ordered))
    decoded = [token.decode() for token in ordered]
    return Tokenized(decoded, list(labels), places[numbers], lengths, label_numbers)
