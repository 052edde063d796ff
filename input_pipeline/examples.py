"""Tokenised reviews in memory, kept on disk so that a restart doesn't tokenise again.

vocabulary = build_vocabulary(source, "train", 0.08, size=20_000)
examples = load(source, "train", vocabulary, cache_dir="~/.cache/longhaul")
examples = examples.shortened(max_tokens=512, keep="head_tail").take(ids)
"""

import collections
import dataclasses
import hashlib
import json
import os
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging

from input_pipeline import text, vocabulary
from input_pipeline.batch_plan import held_out
from input_pipeline.sources import Source
from input_pipeline.vocabulary import Vocabulary
from storage.errors import UserError

_TOKENISE_BATCH = 1024


@dataclasses.dataclass(frozen=True)
class Examples:
    """Reviews as ids, and their labels."""

    tokens: tf.RaggedTensor  # <int32>[reviews, (words)]
    labels: np.ndarray  # <int32>[reviews], 0 or 1

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> np.ndarray:
        """Words of each review <int64>[reviews]."""
        return self.tokens.row_lengths().numpy()

    def shortened(self, max_tokens: int, keep: str) -> "Examples":
        """The part of each review that the model reads; see `text.keep_tokens`."""
        return Examples(text.keep_tokens(self.tokens, max_tokens, keep), self.labels)

    def take(self, ids: np.ndarray) -> "Examples":
        """The reviews of these indices <int>[n]."""
        return Examples(tf.gather(self.tokens, ids), self.labels[ids])

    @property
    def digest(self) -> str:
        """Tells data apart whatever machine it lies on: SHA-256 over ids, lengths and labels."""
        digest = hashlib.sha256()
        for array in (self.tokens.flat_values.numpy(), self.lengths, self.labels):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def build_vocabulary(source: Source, split: str, held_out_share: float, size: int) -> Vocabulary:
    """The most frequent words of a split, but for the reviews held out from training."""
    texts = tf.concat([texts for texts, _ in source.batches(split)], axis=0)
    texts = tf.boolean_mask(texts, ~held_out(len(texts), held_out_share))

    def count(start: int) -> tuple[np.ndarray, np.ndarray]:
        words = text.tokenize(texts[start : start + _TOKENISE_BATCH])
        unique, _, numbers = tf.unique_with_counts(words.flat_values)
        return unique.numpy(), numbers.numpy()

    counts = collections.Counter()
    # Threads, since TensorFlow's string ops run on one each and let the others work.
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for unique, numbers in threads.map(count, range(0, len(texts), _TOKENISE_BATCH)):
            for word, number in zip(unique.tolist(), numbers.tolist(), strict=True):
                counts[word.decode()] += number
    return vocabulary.build(counts, size)


def load(source: Source, split: str, words: Vocabulary, cache_dir: str) -> Examples:
    """All reviews of a split, from the cache when it has them; '' caches nothing."""
    if not cache_dir:
        return _encode(source, split, words)
    key = json.dumps([source.fingerprint(split), text.RULES, words.digest])
    digest = hashlib.sha256(key.encode()).hexdigest()
    path = Path(cache_dir).expanduser() / f"{split.partition('[')[0]}-{digest}.npz"
    cached = _read(path)
    if cached is None:
        cached = _encode(source, split, words)
        _write(path, cached)
    return cached


def _encode(source: Source, split: str, words: Vocabulary) -> Examples:
    def encode(batch: tuple[tf.Tensor, np.ndarray]) -> tuple[tf.RaggedTensor, np.ndarray]:
        texts, labels = batch
        return words.lookup(text.tokenize(texts)), labels

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        tokens, labels = zip(*threads.map(encode, source.batches(split)), strict=True)
    return Examples(tf.concat(tokens, axis=0), np.concatenate(labels))


def _read(path: Path) -> Examples | None:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return Examples(
                tf.RaggedTensor.from_row_lengths(arrays["tokens"], arrays["lengths"]),
                arrays["labels"],
            )
    except FileNotFoundError:
        return None
    # RuntimeError is what zipfile raises for methods that it doesn't know.
    except (zipfile.BadZipFile, OSError, EOFError, KeyError, ValueError, RuntimeError) as error:
        logging.warning("%s: damaged (%s), tokenising again", path, error)
        return None


def _write(path: Path, examples: Examples) -> None:
    """Appears whole or not at all, whatever else writes the same cache."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                np.savez(
                    file,
                    tokens=examples.tokens.flat_values.numpy(),
                    lengths=examples.lengths,
                    labels=examples.labels,
                )
            Path(name).replace(path)
        except OSError:
            Path(name).unlink()
            raise
    except OSError as error:
        raise UserError(
            f"config.data.cache_dir: {path.parent}: {error.strerror}; free or grant what is "
            "missing, give another folder, or '' to keep no cache"
        ) from error
