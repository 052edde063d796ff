"""Reviews of an opened source: the protocol for all kinds, and the class for sources of texts.

    kind, argument = registry.kind_of(config.data.source)
    reviews = kind.open(argument, config.data)
    encoding = reviews.make_encoding()
    train, validation = reviews.load_training(encoding, in_memory=False)

The kinds sample, tfds and files use `TextReviews`; `sources.shards` has its own class.
"""

from typing import Protocol

import ml_collections
import numpy as np

from input_pipeline import batch_plan, examples, text
from input_pipeline.encoding import Encoding
from input_pipeline.examples import Examples
from input_pipeline.labels import Labels, require_all
from input_pipeline.sources.source import Source
from input_pipeline.tokenized import Tokenized, tokenize_split
from input_pipeline.training_set import InMemory, TrainingSet
from storage.errors import UserError


class Reviews(Protocol):
    """The reviews that a run's `data` config names. A method that fails raises UserError."""

    def texts(self) -> Source:
        """Returns the source of the texts; UserError when the source holds token ids."""

    def make_encoding(self) -> Encoding:
        """Returns the vocabulary and the labels of the training reviews."""

    def load_split(self, split: str, encoding: Encoding) -> Examples:
        """Loads all reviews of a split in full length."""

    def load_training(self, encoding: Encoding, in_memory: bool) -> tuple[TrainingSet, Examples]:
        """Loads the reviews to train on and those to validate with, both cut to `max_tokens`.

        With `in_memory` the training reviews are read into memory all together, even where they
        could be read part by part.
        """


class TextReviews:
    """Reviews from a source of texts. Validation reviews are held out of the training split."""

    def __init__(self, source: Source, data: ml_collections.ConfigDict):
        self._source, self._data = source, data
        self._tokenized: dict[tuple[str, int], Tokenized] = {}

    def texts(self) -> Source:
        """Returns the source that this was made with."""
        return self._source

    def make_encoding(self) -> Encoding:
        """Counts tokens and labels of the training reviews, and tokens of those without a label."""
        data, rules = self._data, text.rules_of(self._data.punctuation)
        unlabelled = self._tokenize(data.unlabelled_split, rules) if data.unlabelled_split else None
        tokenized = self._tokenize(data.train_split, rules)
        return examples.build_encoding(tokenized, data, unlabelled)

    def load_split(self, split: str, encoding: Encoding) -> Examples:
        """Tokenises the reviews of a split, or takes their tokens from the cache."""
        tokenized = self._tokenize(split, encoding.vocabulary.rules)
        return examples.encode(tokenized, split, encoding)

    def load_training(self, encoding: Encoding, in_memory: bool) -> tuple[InMemory, Examples]:
        """Loads both parts; they are in memory in any case."""
        del in_memory
        data = self._data
        reviews = self.load_split(data.train_split, encoding)
        reviews = reviews.shortened(data.max_tokens, data.keep)
        held_out = hold_out(data, reviews.labels, encoding.labels)
        train, validation = (reviews.take(np.flatnonzero(mask)) for mask in (~held_out, held_out))
        if not data.unlabelled_split:
            return InMemory(train), validation
        tokenized = self._tokenize(data.unlabelled_split, encoding.vocabulary.rules)
        unlabelled = examples.encode_unlabelled(tokenized, encoding)
        unlabelled = unlabelled.shortened(data.max_tokens, data.keep)
        if data.unlabelled_batch_size > len(unlabelled):
            raise UserError(
                f"config.data.unlabelled_batch_size: got {data.unlabelled_batch_size}, accepted "
                f"are up to {len(unlabelled)}, the reviews of {data.unlabelled_split!r}"
            )
        return InMemory(train, unlabelled, data.unlabelled_batch_size), validation

    def _tokenize(self, split: str, rules: int) -> Tokenized:
        """Tokenises a split once: the vocabulary is made of the reviews to train on."""
        if (split, rules) not in self._tokenized:
            made = tokenize_split(self._source, split, rules, self._data.cache_dir)
            self._tokenized[split, rules] = made
        return self._tokenized[split, rules]


def hold_out(data: ml_collections.ConfigDict, numbers: np.ndarray, labels: Labels) -> np.ndarray:
    """Returns which reviews of the training split are for validation, <bool>[reviews].

    `numbers` <int>[reviews] are those of the reviews' labels. Raises UserError when that leaves
    none to train on or none to validate with, or a label without a review to train on.
    """
    held_out = batch_plan.held_out(len(numbers), data.validation_share)
    if held_out.all() or not held_out.any():
        raise UserError(
            f"config.data.validation_share: got {data.validation_share} of {len(numbers)} "
            "reviews, which leaves none on one side; accepted is a share that leaves some on both"
        )
    require_all(numbers[~held_out], labels, data.train_split)
    return held_out
