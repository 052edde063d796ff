"""Loads what a run's `data` config names: reviews, their vocabulary, the three parts of a run.

    vocabulary = make_vocabulary(config.data)
    data = load_training_data(config.data, vocabulary)
    data.train, data.validation, data.test

`data` is the `data` part of a config everywhere in this module. Nothing here writes, except to the
cache folder that `data.cache_dir` names.
"""

from pathlib import Path
from typing import NamedTuple

import ml_collections
import numpy as np

from input_pipeline import batch_plan, examples
from input_pipeline.examples import Examples
from input_pipeline.shards import format as shards
from input_pipeline.shards.cache import ShardCache
from input_pipeline.shards.format import ShardSet
from input_pipeline.sources import registry
from input_pipeline.sources.registry import Source
from input_pipeline.training_set import InMemory, Sharded, TrainingSet
from input_pipeline.vocabulary import VOCABULARY_FILE, Vocabulary, read_vocabulary
from storage.errors import UserError
from storage.store import Store, open_store

_SHARDS = "shards:"


class TrainingData(NamedTuple):
    """The three parts of a run's data."""

    train: TrainingSet  # cut to the tokens that the model reads
    validation: Examples  # cut as well
    test: Examples  # in full length


def open_source(data: ml_collections.ConfigDict) -> Source:
    """Opens the source of reviews."""
    return registry.open_source(data.source, data.dir, data.on_bad_text)


def open_prepared(data: ml_collections.ConfigDict) -> Store | None:
    """Opens the store of prepared shards; returns None for another kind of source."""
    if not data.source.startswith(_SHARDS):
        return None
    url = data.source.removeprefix(_SHARDS)
    return open_store(url if "://" in url else str(Path(data.dir, url)), "config.data.source")


def open_shards(
    data: ml_collections.ConfigDict, store: Store, split: str, vocabulary: Vocabulary
) -> ShardSet:
    """Opens the prepared set of a split; UserError when it was made with another vocabulary."""
    cache = None
    # Shards in a local folder need no second local copy.
    if data.cache_dir and store.url.startswith("gs://"):
        cache = ShardCache(Path(data.cache_dir, "shards").expanduser(), data.cache_bytes)
    opened = shards.open_set(store, split, cache)
    if opened.index.vocabulary != vocabulary.digest:
        raise UserError(
            f"config.data.source: {store.url}/{split} was prepared with another vocabulary than "
            "the run's; begin in another --workdir, or prepare it with config.checkpoint.init_from "
            "of this run"
        )
    return opened


def make_vocabulary(data: ml_collections.ConfigDict) -> Vocabulary:
    """Returns the vocabulary of the training reviews; for prepared shards, the one beside them."""
    prepared = open_prepared(data)
    if not prepared:
        return examples.build_vocabulary(
            open_source(data),
            data.train_split,
            data.validation_share,
            data.vocabulary_size,
            data.cache_dir,
        )
    stored = read_vocabulary(prepared)
    if stored is None:
        raise UserError(
            f"config.data.source: {prepared.url}/{VOCABULARY_FILE} is missing; make the set "
            f"with --mode=prepare --workdir={prepared.url}"
        )
    return stored


def load_split(data: ml_collections.ConfigDict, split: str, vocabulary: Vocabulary) -> Examples:
    """Loads all reviews of a split in full length."""
    if prepared := open_prepared(data):
        return open_shards(data, prepared, split, vocabulary).examples()
    return examples.load(open_source(data), split, vocabulary, data.cache_dir)


def load_training_data(
    data: ml_collections.ConfigDict, vocabulary: Vocabulary, in_memory: bool = False
) -> TrainingData:
    """Loads the three parts of a run's data.

    With `in_memory` prepared shards are read into memory too, instead of one at a time.

    Raises UserError when one part is empty, or all training reviews have the same label.
    """
    if prepared := open_prepared(data):
        # `--mode=prepare` has held out the validation reviews and checked the parts.
        train, validation = (
            open_shards(data, prepared, split, vocabulary) for split in ("train", "validation")
        )
        return TrainingData(
            Sharded(train, data.max_tokens, data.keep, in_memory),
            validation.examples().shortened(data.max_tokens, data.keep),
            load_split(data, data.test_split, vocabulary),
        )
    reviews = load_split(data, data.train_split, vocabulary)
    reviews = reviews.shortened(data.max_tokens, data.keep)
    held_out = hold_out(data, reviews.labels)
    return TrainingData(
        InMemory(reviews.take(np.flatnonzero(~held_out))),
        reviews.take(np.flatnonzero(held_out)),
        # Read now, so that a mistake in it shows before the training and not after it.
        load_split(data, data.test_split, vocabulary),
    )


def hold_out(data: ml_collections.ConfigDict, labels: np.ndarray) -> np.ndarray:
    """Returns which reviews of the training split are for validation, <bool>[reviews].

    Raises UserError when that leaves none to train on or to validate, or when all training reviews
    have the same one of the labels <int>[reviews].
    """
    held_out = batch_plan.held_out(len(labels), data.validation_share)
    if held_out.all() or not held_out.any():
        raise UserError(
            f"config.data.validation_share: got {data.validation_share} of {len(labels)} "
            "reviews, which leaves none on one side; accepted is a share that leaves some on both"
        )
    left = np.unique(labels[~held_out])
    if len(left) == 1:
        raise UserError(
            f"config.data.source: all reviews of the split {data.train_split!r} have the label "
            f"{left[0]}; both 0 and 1 are needed"
        )
    return held_out
