"""How the reviews of a run become numbers: its vocabulary and its labels.

    encoding = read_encoding(store)             # None in a folder that has none yet
    write_encoding(store, encoding, claim.check)
    encoding.vocabulary, encoding.labels

A run, and a folder of prepared shards, keep it in `vocabulary.txt` and `labels.txt`.
"""

import hashlib
from typing import NamedTuple

import ml_collections

from input_pipeline.labels import LABELS_FILE, Labels, read_labels
from input_pipeline.vocabulary import VOCABULARY_FILE, Vocabulary, read_vocabulary
from storage.store import Check, Store


class Encoding(NamedTuple):
    """The numbers of tokens and of labels."""

    vocabulary: Vocabulary
    labels: Labels

    @property
    def digest(self) -> str:
        """Returns a SHA-256 in hex over both files."""
        return hashlib.sha256(
            self.labels.to_bytes() + b"\0" + self.vocabulary.to_bytes()
        ).hexdigest()

    def require(self, data: ml_collections.ConfigDict, owner: str) -> None:
        """Raises UserError when `data` asks for another encoding than this one of `owner`."""
        self.labels.require_positive(data.positive_label, owner)
        self.vocabulary.require_punctuation(data.punctuation, owner)
        self.vocabulary.require_size(data.vocabulary_size, owner)


def read_encoding(store: Store) -> Encoding | None:
    """Reads the files of a store; returns None when they are not written yet.

    Raises UserError when one is damaged.
    """
    vocabulary = read_vocabulary(store)
    if vocabulary is None:
        return None
    return Encoding(vocabulary, read_labels(store))


def write_encoding(store: Store, encoding: Encoding, check: Check | None = None) -> None:
    """Writes both files; see `Store.write` for `check`."""
    # The vocabulary last: without it a reader takes nothing.
    store.write(LABELS_FILE, encoding.labels.to_bytes(), check)
    store.write(VOCABULARY_FILE, encoding.vocabulary.to_bytes(), check)
