"""Loads what a run's `data` config names: reviews, their encoding, the three parts of a run.

    reviews = open_reviews(config.data)
    encoding = reviews.make_encoding()
    data = load_training_data(config.data, encoding, reviews=reviews)
    data.train, data.validation, data.test

`data` is the `data` part of a config everywhere in this module. What depends on the kind of source
is in `input_pipeline.sources`. Nothing is written except to the cache folder `data.cache_dir`.
"""

from functools import partial
from typing import NamedTuple

import ml_collections

from input_pipeline.encoding import Encoding
from input_pipeline.examples import Examples
from input_pipeline.sources import registry
from input_pipeline.sources.reviews import Reviews
from input_pipeline.streaming import in_background
from input_pipeline.training_set import TrainingSet


class TrainingData(NamedTuple):
    """The three parts of a run's data."""

    train: TrainingSet  # cut to `max_tokens`
    validation: Examples  # cut as well
    test: Examples  # in full length


def open_reviews(data: ml_collections.ConfigDict) -> Reviews:
    """Opens the source `data.source`; UserError when that fails."""
    kind, argument = registry.kind_of(data.source)
    return kind.open(argument, data)


def make_encoding(data: ml_collections.ConfigDict) -> Encoding:
    """Returns the encoding of the training reviews; for prepared shards, the one beside them."""
    return open_reviews(data).make_encoding()


def load_split(data: ml_collections.ConfigDict, split: str, encoding: Encoding) -> Examples:
    """Loads all reviews of a split in full length."""
    return open_reviews(data).load_split(split, encoding)


def load_training_data(
    data: ml_collections.ConfigDict,
    encoding: Encoding,
    in_memory: bool = False,
    reviews: Reviews | None = None,
) -> TrainingData:
    """Loads the three parts of a run's data.

    Args:
        data: what to load.
        encoding: the numbers of tokens and labels.
        in_memory: prepared shards are read into memory all together, instead of one at a time.
        reviews: those of `open_reviews`; opened here when they are not given.

    Raises UserError when one part is empty, or a label has no review to train on.
    """
    reviews = reviews or open_reviews(data)
    # The test split is read now so that a mistake in it shows before the training, not after it.
    test = in_background(partial(reviews.load_split, data.test_split, encoding))
    train, validation = reviews.load_training(encoding, in_memory)
    return TrainingData(train, validation, test.result())
