"""Reviews of an opened source: the protocol for all kinds, and the class for sources of texts.

    kind, argument = registry.kind_of(config.data.source)
    reviews = kind.open(argument, config.data)
    vocabulary = reviews.make_vocabulary()
    train, validation = reviews.load_training(vocabulary, in_memory=False)

The kinds sample, tfds and files use `TextReviews`; `sources.shards` has its own class.
"""

from typing import Protocol

import ml_collections
import numpy as np

from input_pipeline import batch_plan, examples, labels
from input_pipeline.examples import Examples
from input_pipeline.sources.source import Source
from input_pipeline.training_set import InMemory, TrainingSet
from input_pipeline.vocabulary import Vocabulary
from storage.errors import UserError


class Reviews(Protocol):
    """The reviews that a run's `data` config names. A method that fails raises UserError."""

    def texts(self) -> Source:
        """Returns the source of the texts; UserError when the source holds token ids."""

    def make_vocabulary(self) -> Vocabulary:
        """Returns the vocabulary of the training reviews."""

    def load_split(self, split: str, vocabulary: Vocabulary) -> Examples:
        """Loads all reviews of a split in full length."""

    def load_training(
        self, vocabulary: Vocabulary, in_memory: bool
    ) -> tuple[TrainingSet, Examples]:
        """Loads the reviews to train on and those to validate with, both cut to `max_tokens`.

        With `in_memory` the training reviews are read into memory all together, even where they
        could be read part by part.
        """


class TextReviews:
    """Reviews from a source of texts. Validation reviews are held out of the training split."""

    def __init__(self, source: Source, data: ml_collections.ConfigDict):
        self._source, self._data = source, data

    def texts(self) -> Source:
        """Returns the source that this was made with."""
        return self._source

    def make_vocabulary(self) -> Vocabulary:
        """Counts the tokens of the training reviews, or takes the vocabulary from the cache."""
        data = self._data
        return examples.build_vocabulary(
            self._source,
            data.train_split,
            data.validation_share,
            data.vocabulary_size,
            data.cache_dir,
        )

    def load_split(self, split: str, vocabulary: Vocabulary) -> Examples:
        """Tokenises the reviews of a split, or takes their token ids from the cache."""
        return examples.load(self._source, split, vocabulary, self._data.cache_dir)

    def load_training(self, vocabulary: Vocabulary, in_memory: bool) -> tuple[InMemory, Examples]:
        """Loads both parts; they are in memory in any case."""
        del in_memory
        data = self._data
        reviews = self.load_split(data.train_split, vocabulary)
        reviews = reviews.shortened(data.max_tokens, data.keep)
        held_out = hold_out(data, reviews.labels)
        train, validation = (reviews.take(np.flatnonzero(mask)) for mask in (~held_out, held_out))
        return InMemory(train), validation


def hold_out(data: ml_collections.ConfigDict, review_labels: np.ndarray) -> np.ndarray:
    """Returns which reviews of the training split are for validation, <bool>[reviews].

    Raises UserError when that leaves none to train on or none to validate with, or when all
    training reviews have the same one of the labels <int>[reviews].
    """
    held_out = batch_plan.held_out(len(review_labels), data.validation_share)
    if held_out.all() or not held_out.any():
        raise UserError(
            f"config.data.validation_share: got {data.validation_share} of {len(review_labels)} "
            "reviews, which leaves none on one side; accepted is a share that leaves some on both"
        )
    labels.check_both_used(review_labels[~held_out], data.train_split)
    return held_out
