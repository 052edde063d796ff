"""The tokens that a model knows, and their ids.

    vocabulary = build(counts, size=20_000)
    ids = vocabulary.encode(texts)
    store.write("vocabulary.txt", vocabulary.to_bytes())

The file has one token a line; an id is a line's number, from 0. Id 0 is padding, id 1 stands for
every unknown token. The line of the padding names the version of the text rules that the tokens
were made by, such as `<pad rules=2>`; version 1 has `<pad>` alone.
"""

import dataclasses
import functools
import hashlib
import re
from collections.abc import Mapping

import tensorflow as tf

from input_pipeline import text
from input_pipeline.text import UNKNOWN_TOKEN
from storage.errors import UserError
from storage.store import Store

VOCABULARY_FILE = "vocabulary.txt"
PADDING, UNKNOWN = 0, 1
_FIRST_TOKENS = ("<pad>", UNKNOWN_TOKEN)
_FIRST_LINE = re.compile(r"<pad(?: rules=([1-9]\d{0,8}))?>")


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """The tokens in the order of their ids, padding and the unknown token included."""

    tokens: tuple[str, ...]
    rules: int  # version of the text rules that made the tokens, a key of `text.RULES`

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

    def encode(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Returns the ids <int32>[reviews, (tokens)] of texts <string>[reviews]."""
        return self.lookup(text.tokenize(texts, self.rules))

    def lookup(self, tokens: tf.RaggedTensor) -> tf.RaggedTensor:
        """Returns the ids <int32>[reviews, (tokens)] of tokens <string>[reviews, (tokens)]."""
        return tokens.with_flat_values(self.table.lookup(tokens.flat_values))

    def to_bytes(self) -> bytes:
        """Returns the content of the vocabulary file."""
        first = self.tokens[0] if self.rules == 1 else f"<pad rules={self.rules}>"
        return "".join(token + "\n" for token in (first, *self.tokens[1:])).encode()


def build(counts: Mapping[str, int], size: int) -> Vocabulary:
    """Returns the vocabulary of the `size` - 2 most frequent tokens by the newest text rules.

    Tokens with equal counts are in alphabetical order.
    """
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    tokens = [token for token, _ in ranked if token not in _FIRST_TOKENS]
    return Vocabulary(_FIRST_TOKENS + tuple(tokens[: size - len(_FIRST_TOKENS)]), text.NEWEST)


def from_bytes(data: bytes, name: str) -> Vocabulary:
    """Parses a vocabulary file.

    Raises UserError, which calls it `name`, when it isn't one, or has text rules that are unknown.
    """
    try:
        first, *others = data.decode().split("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: not UTF-8 at byte {error.start}; bring back the file") from error
    head, tokens = _FIRST_LINE.fullmatch(first), (_FIRST_TOKENS[0], *others)
    if not head or tokens[:2] != _FIRST_TOKENS or tokens[-1] or len(set(tokens)) != len(tokens):
        raise UserError(
            f"{name}: not a vocabulary, which has <pad> or <pad rules={text.NEWEST}> and "
            f"{UNKNOWN_TOKEN} on its first two lines, then one token a line, none twice; bring "
            "back the file"
        )
    rules = int(head[1] or 1)
    if rules not in text.RULES:
        raise UserError(
            f"{name}: made by version {rules} of the text rules, and this version of longhaul "
            f"knows {', '.join(map(str, text.RULES))}; use the newer longhaul that wrote it"
        )
    return Vocabulary(tokens[:-1], rules)


def read_vocabulary(store: Store) -> Vocabulary | None:
    """Reads the vocabulary of a run or of prepared shards; returns None when there is none yet."""
    if not store.exists(VOCABULARY_FILE):
        return None
    return from_bytes(store.read(VOCABULARY_FILE), f"{store.url}/{VOCABULARY_FILE}")
