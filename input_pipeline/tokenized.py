"""The tokens of a split's reviews, before a vocabulary gives them their ids.

    split = tokenize_split(source, "train", text.WORDS, cache_dir="~/.cache/longhaul")
    split.counts(~held_out)["film"]     # how often the token occurs in these reviews
    split.ids(vocabulary)               # <int32>[all tokens], review after review

They are cached on disk, so that neither a restart nor another vocabulary tokenises again.
"""

import dataclasses
import json
import threading

import numpy as np
import tensorflow as tf

from input_pipeline import text
from input_pipeline.cache import cached
from input_pipeline.sources.source import Source
from input_pipeline.streaming import in_threads, numbered
from input_pipeline.vocabulary import UNKNOWN, Vocabulary

_NEW = -1  # a token without a number
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
    tokens = _Numbering()

    def tokenize(batch: tuple[tf.Tensor, list[str]]) -> tuple[np.ndarray, np.ndarray, list[str]]:
        texts, names = batch
        made = text.tokenize(texts, rules)
        return tokens.numbers(made.flat_values), made.row_lengths().numpy(), names

    labels: dict[str, int] = {}
    parts = []
    for numbers, lengths, names in in_threads(tokenize, source.batches(split)):
        parts.append((numbers, lengths, numbered(names, labels)))
    numbers, lengths, label_numbers = map(np.concatenate, zip(*parts, strict=True))
    ordered, places = tokens.ordered()
    return Tokenized(ordered, list(labels), places[numbers], lengths, label_numbers)


class _Numbering:
    """Numbers tokens in the order in which threads meet them."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}
        self._lock = threading.Lock()
        self._frequent: tf.lookup.StaticHashTable | None = None

    def numbers(self, tokens: tf.Tensor) -> np.ndarray:
        """Returns the number of each of some tokens <string>[n], <int32>[n]."""
        # A table finds a token in an eighth of the time that tf.unique takes.
        if table := self._frequent:
            found = table.lookup(tokens).numpy()
        else:
            found = np.full(len(tokens), _NEW, np.int32)
        new = np.flatnonzero(found == _NEW)
        different, places = tf.unique(tf.gather(tokens, new))
        with self._lock:
            found[new] = numbered(different.numpy().tolist(), self._numbers)[places.numpy()]
            if self._frequent is None:  # the tokens of a first batch are nearly all that follow
                self._frequent = _table(self._numbers)
        return found

    def ordered(self) -> tuple[list[str], np.ndarray]:
        """Returns the tokens in alphabetical order, and the place of each number in it, <int32>."""
        ordered = sorted(self._numbers)
        places = np.empty(len(ordered), np.int32)
        places[[self._numbers[token] for token in ordered]] = np.arange(len(ordered))
        return [token.decode() for token in ordered], places


def _table(numbers: dict[bytes, int]) -> tf.lookup.StaticHashTable:
    """Returns the table from tokens to their numbers, <string> to <int32>; others are _NEW."""
    keys, values = tf.constant(list(numbers)), tf.constant(list(numbers.values()))
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), _NEW)
