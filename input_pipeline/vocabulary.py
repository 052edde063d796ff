"""The tokens that a model knows, and their ids.

    vocabulary = build(counts, size=20_000)
    ids = vocabulary.lookup(text.tokenize(texts))
    store.write("vocabulary.txt", vocabulary.to_bytes())

The file has one token a line; an id is a line's number, from 0. Id 0 is padding, id 1 stands for
every unknown token.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping

import tensorflow as tf

from input_pipeline.text import UNKNOWN_TOKEN
from storage.errors import UserError
from storage.store import Store

VOCABULARY_FILE = "vocabulary.txt"
PADDING, UNKNOWN = 0, 1
_FIRST_LINES = ("<pad>", UNKNOWN_TOKEN)


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """The tokens in the order of their ids, padding and the unknown token included."""

    tokens: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.tokens)

    @functools.cached_property
    def digest(self) -> str:
        """Returns the SHA-256 of the vocabulary file, in hex."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @functools.cached_property
    def table(self) -> tf.lookup.StaticHashTable:
        """Returns the table from tokens to ids, <string> to <int32>.

        A tf.Module that is exported has to hold it in an attribute, so that it is saved too.
        """
        ids = range(len(self.tokens))
        return tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(list(self.tokens), list(ids), tf.string, tf.int32),
            default_value=UNKNOWN,
        )

    def lookup(self, tokens: tf.RaggedTensor) -> tf.RaggedTensor:
        """Returns the ids <int32>[reviews, (tokens)] of tokens <string>[reviews, (tokens)]."""
        return tokens.with_flat_values(self.table.lookup(tokens.flat_values))

    def to_bytes(self) -> bytes:
        """Returns the content of the vocabulary file."""
        return "".join(token + "\n" for token in self.tokens).encode()


def build(counts: Mapping[str, int], size: int) -> Vocabulary:
    """Returns the vocabulary of the `size` - 2 most frequent tokens.

    Tokens with equal counts are in alphabetical order.
    """
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    tokens = [token for token, _ in ranked if token not in _FIRST_LINES]
    return Vocabulary(_FIRST_LINES + tuple(tokens[: size - len(_FIRST_LINES)]))


def from_bytes(data: bytes, name: str) -> Vocabulary:
    """Parses a vocabulary file; UserError, which calls it `name`, when it isn't one."""
    try:
        tokens = tuple(data.decode().split("\n"))
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: not UTF-8 at byte {error.start}; bring back the file") from error
    if tokens[:2] != _FIRST_LINES or tokens[-1] != "" or len(set(tokens)) != len(tokens):
        raise UserError(
            f"{name}: not a vocabulary, which has {_FIRST_LINES[0]} and {_FIRST_LINES[1]} on its "
            "first two lines, then one token a line, none twice; bring back the file"
        )
    return Vocabulary(tokens[:-1])


def read_vocabulary(store: Store) -> Vocabulary | None:
    """Reads the vocabulary of a run or of prepared shards; returns None when there is none yet."""
    if not store.exists(VOCABULARY_FILE):
        return None
    return from_bytes(store.read(VOCABULARY_FILE), f"{store.url}/{VOCABULARY_FILE}")
