"""The words a model knows, and their ids.

    vocabulary = build(counts, size=20_000)
    ids = vocabulary.lookup(text.tokenize(texts))
    store.write("vocabulary.txt", vocabulary.to_bytes())

The file has one word a line; the line is the id: 0 pads, 1 stands for every unknown word.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping

import tensorflow as tf

from input_pipeline.text import UNKNOWN_WORD
from storage.errors import UserError
from storage.store import Store

VOCABULARY_FILE = "vocabulary.txt"
PADDING, UNKNOWN = 0, 1
_FIRST_LINES = ("<pad>", UNKNOWN_WORD)


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """All ids in order, padding and the unknown word included."""

    words: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.words)

    @functools.cached_property
    def digest(self) -> str:
        """Tells vocabularies apart: SHA-256 of the file, in hex."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @functools.cached_property
    def _table(self) -> tf.lookup.StaticHashTable:
        ids = range(len(self.words))
        return tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(list(self.words), list(ids), tf.string, tf.int32),
            default_value=UNKNOWN,
        )

    def lookup(self, words: tf.RaggedTensor) -> tf.RaggedTensor:
        """Ids <int32>[reviews, (words)] of words <string>[reviews, (words)]."""
        return words.with_flat_values(self._table.lookup(words.flat_values))

    def to_bytes(self) -> bytes:
        """The vocabulary file."""
        return "".join(word + "\n" for word in self.words).encode()


def build(counts: Mapping[str, int], size: int) -> Vocabulary:
    """The `size` - 2 most frequent words; the alphabet decides between equal counts."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    words = [word for word, _ in ranked if word not in _FIRST_LINES]
    return Vocabulary(_FIRST_LINES + tuple(words[: size - len(_FIRST_LINES)]))


def from_bytes(data: bytes, name: str) -> Vocabulary:
    """Reads a vocabulary file; UserError, naming it as `name`, when it isn't one."""
    try:
        words = tuple(data.decode().split("\n"))
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: not UTF-8 at byte {error.start}; bring back the file") from error
    if words[:2] != _FIRST_LINES or words[-1] != "" or len(set(words)) != len(words):
        raise UserError(
            f"{name}: not a vocabulary, which has {_FIRST_LINES[0]} and {_FIRST_LINES[1]} on its "
            "first two lines, then one word a line, none twice; bring back the file"
        )
    return Vocabulary(words[:-1])


def read_vocabulary(store: Store) -> Vocabulary | None:
    """Reads the vocabulary of a run or of prepared shards; returns None when there is none yet."""
    if not store.exists(VOCABULARY_FILE):
        return None
    return from_bytes(store.read(VOCABULARY_FILE), f"{store.url}/{VOCABULARY_FILE}")
