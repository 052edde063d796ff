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
from collections.abc import Mapping

import tensorflow as tf

from input_pipeline import text, vocabulary_file
from input_pipeline.vocabulary_file import FIRST_TOKENS, PADDING, UNKNOWN, VOCABULARY_FILE
from storage.errors import UserError
from storage.store import Store


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

    def require_punctuation(self, asked: bool, owner: str) -> None:
        """Raises UserError when `data.punctuation` asks for tokens that `owner` lacks."""
        if asked and self.rules != text.WORDS_AND_PUNCTUATION:
            raise UserError(
                f"config.data.punctuation: got True, but the tokens of {owner} were made without "
                f"(version {self.rules} of the text rules); accepted is False"
            )

    def require_size(self, most: int, owner: str) -> None:
        """Raises UserError when `owner` has more tokens than `data.vocabulary_size`, `most`."""
        if len(self) > most:
            raise UserError(
                f"config.data.vocabulary_size: got {most}, but {owner} has {len(self)} token ids; "
                "accepted is that number, or a larger one, which changes nothing"
            )

    def to_bytes(self) -> bytes:
        """Returns the content of the vocabulary file."""
        first = self.tokens[PADDING] if self.rules == 1 else f"<pad rules={self.rules}>"
        return "".join(token + "\n" for token in (first, *self.tokens[1:])).encode()


def build(counts: Mapping[str, int], size: int, rules: int = text.WORDS) -> Vocabulary:
    """Returns the vocabulary of the `size` - 2 most frequent tokens by a version of the text rules.

    Tokens with equal counts are in alphabetical order.
    """
    # Two sorts, both of which keep what is in order: counts mostly come in that of their tokens.
    ranked = sorted(sorted(counts), key=counts.__getitem__, reverse=True)
    tokens = [token for token in ranked if token not in FIRST_TOKENS]
    return Vocabulary(FIRST_TOKENS + tuple(tokens[: size - len(FIRST_TOKENS)]), rules)


def from_bytes(data: bytes, name: str) -> Vocabulary:
    """Parses a vocabulary file.

    Raises UserError, which calls it `name`, when it isn't one, or has text rules that are unknown.
    """
    tokens, rules = vocabulary_file.parse(data, name)
    if rules not in text.RULES:
        raise UserError(
            f"{name}: made by version {rules} of the text rules, and this version of longhaul "
            f"knows {', '.join(map(str, text.RULES))}; use the newer longhaul that wrote it"
        )
    return Vocabulary(tokens, rules)


def read_vocabulary(store: Store) -> Vocabulary | None:
    """Reads the vocabulary of a run or of prepared shards; returns None when there is none yet."""
    if not store.exists(VOCABULARY_FILE):
        return None
    return from_bytes(store.read(VOCABULARY_FILE), f"{store.url}/{VOCABULARY_FILE}")
