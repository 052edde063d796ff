"""From a config to what a job works with: strategy, vocabulary, reviews, scorer.

    strategy = make_strategy(config)
    words = stored_vocabulary(store) or make_vocabulary(config)
    data = load_training_data(config.data, words)
    scorer, words, manifest = load_scorer(stored_config(store), store, "best")

Nothing here writes.
"""

import json
from pathlib import Path
from typing import NamedTuple

import ml_collections
import numpy as np
import tensorflow as tf

from configs import default, validate
from input_pipeline import batch_plan, examples, shards, sources, vocabulary
from input_pipeline.examples import Examples
from input_pipeline.shard_cache import ShardCache
from input_pipeline.shards import ShardSet
from input_pipeline.training_set import InMemory, Sharded, TrainingSet
from input_pipeline.vocabulary import Vocabulary
from storage.errors import UserError
from storage.store import Store, open_store
from trainer import strategy as strategies
from trainer import train_state
from trainer.checkpoints import Manifest, restore
from trainer.model import StackedLSTM
from trainer.scorer import Scorer

CONFIG_FILE = "config.json"
VOCABULARY_FILE = "vocabulary.txt"
_SHARDS = "shards:"
_MOST_WIDTHS = 8


class TrainingData(NamedTuple):
    """The training split, cut in two and shortened to what the model reads, and the test split."""

    train: TrainingSet
    validation: Examples
    test: Examples  # in full length


def make_strategy(config: ml_collections.ConfigDict) -> tf.distribute.Strategy:
    """The strategy of a whole config; UserError when its replicas don't divide the batches."""
    strategy = strategies.create(config.strategy)
    validate.check_replicas(config, strategy.num_replicas_in_sync)
    return strategy


def static_widths(
    config: ml_collections.ConfigDict, strategy: tf.distribute.Strategy
) -> tuple[int, ...]:
    """All widths of a config's `data` part where the strategy needs to know them, else none."""
    if not strategies.needs_static_shapes(strategy):
        return ()
    step = config.width_step
    widths = tuple(range(step, config.max_tokens + step, step))
    if len(widths) > _MOST_WIDTHS:
        raise UserError(
            f"config.data.width_step: got {config.width_step}, which makes {len(widths)} widths; a "
            f"TPU compiles a program for each, so accepted are steps that make up to {_MOST_WIDTHS}"
        )
    return widths


def stored_config(store: Store) -> ml_collections.ConfigDict:
    """The config of the run in a workdir; UserError when there is none."""
    try:
        content = json.loads(store.read(CONFIG_FILE))
        if not isinstance(content, dict):
            raise ValueError("no JSON object")
        config = ml_collections.ConfigDict(content)
    except FileNotFoundError as error:
        raise UserError(
            f"--workdir: {store.url} holds no run ({CONFIG_FILE} is missing); give the training "
            "command, which begins one or brings the file back"
        ) from error
    except ValueError as error:
        raise UserError(
            f"--workdir: {store.url}/{CONFIG_FILE} can't be read ({error}); delete it and give the "
            "training command, which writes it anew"
        ) from error
    validate.check(config, stored=True)
    return config


def scoring_config(
    store: Store, given: ml_collections.ConfigDict | None
) -> ml_collections.ConfigDict:
    """The config of the run in a workdir, but where the reviews lie and what to run on as given.

    Without a given one it runs on what is here: the machines of the training may be long gone.
    """
    config = stored_config(store)
    config.strategy.update(default.get_config().strategy)
    if given is not None:
        for field in ("source", "dir", "test_split", "on_bad_text", "cache_dir", "cache_bytes"):
            config.data[field] = given.data[field]
        config.strategy.update(given.strategy)
        config.evaluation.update(given.evaluation)
    return config


def stored_vocabulary(store: Store) -> Vocabulary | None:
    """The vocabulary of the run in a workdir, None when it has none yet."""
    if not store.exists(VOCABULARY_FILE):
        return None
    return vocabulary.from_bytes(store.read(VOCABULARY_FILE), f"{store.url}/{VOCABULARY_FILE}")


def open_init_from(config: ml_collections.ConfigDict) -> Store:
    """The workdir of the run that a fresh one starts from; `config` is the `checkpoint` part."""
    return open_store(config.init_from, "config.checkpoint.init_from", config.retry_seconds)


def open_source(config: ml_collections.ConfigDict) -> sources.Source:
    """The source of reviews of a config's `data` part."""
    return sources.open_source(config.source, config.dir, config.on_bad_text)


def open_prepared(config: ml_collections.ConfigDict) -> Store | None:
    """The store of the prepared sets that a config's `data` part names, None for another source."""
    if not config.source.startswith(_SHARDS):
        return None
    url = config.source.removeprefix(_SHARDS)
    return open_store(url if "://" in url else str(Path(config.dir, url)), "config.data.source")


def open_shards(
    config: ml_collections.ConfigDict, store: Store, split: str, words: Vocabulary
) -> ShardSet:
    """The prepared set of a split; UserError when its ids stand for other words."""
    cache = None
    # What lies in a folder needs no copy in another.
    if config.cache_dir and store.url.startswith("gs://"):
        cache = ShardCache(Path(config.cache_dir, "shards").expanduser(), config.cache_bytes)
    opened = shards.open_set(store, split, cache)
    if opened.index.vocabulary != words.digest:
        raise UserError(
            f"config.data.source: {store.url}/{split} was prepared with another vocabulary than "
            "the run's; begin in another --workdir, or prepare it with config.checkpoint.init_from "
            "of this run"
        )
    return opened


def make_vocabulary(config: ml_collections.ConfigDict) -> Vocabulary:
    """The vocabulary of a fresh run: that of the run it starts from, or of its training reviews."""
    if config.checkpoint.init_from:
        words = stored_vocabulary(open_init_from(config.checkpoint))
        if words is None:
            raise UserError(
                f"config.checkpoint.init_from: {config.checkpoint.init_from} holds no run "
                f"({VOCABULARY_FILE} is missing); give the workdir of one"
            )
        return words
    data = config.data
    if prepared := open_prepared(data):
        words = stored_vocabulary(prepared)
        if words is None:
            raise UserError(
                f"config.data.source: {prepared.url}/{VOCABULARY_FILE} is missing; make the set "
                f"with --mode=prepare --workdir={prepared.url}"
            )
        return words
    return examples.build_vocabulary(
        open_source(data),
        data.train_split,
        data.validation_share,
        data.vocabulary_size,
        data.cache_dir,
    )


def load_split(config: ml_collections.ConfigDict, split: str, words: Vocabulary) -> Examples:
    """All reviews of a split in full length; `config` is the `data` part."""
    if prepared := open_prepared(config):
        return open_shards(config, prepared, split, words).examples()
    return examples.load(open_source(config), split, words, config.cache_dir)


def load_training_data(
    config: ml_collections.ConfigDict, words: Vocabulary, at_once: bool = False
) -> TrainingData:
    """All reviews of a run; `config` is the `data` part.

    With `at_once` they are all in memory, also those in shards.

    Raises UserError when one of the three has none, or all of training are of one label.
    """
    if prepared := open_prepared(config):
        # Prepared as three sets, which has been checked then.
        train, validation = (
            open_shards(config, prepared, split, words) for split in ("train", "validation")
        )
        return TrainingData(
            Sharded(train, config.max_tokens, config.keep, at_once),
            validation.examples().shortened(config.max_tokens, config.keep),
            load_split(config, config.test_split, words),
        )
    reviews = load_split(config, config.train_split, words)
    reviews = reviews.shortened(config.max_tokens, config.keep)
    held_out = hold_out(config, reviews.labels)
    return TrainingData(
        InMemory(reviews.take(np.flatnonzero(~held_out))),
        reviews.take(np.flatnonzero(held_out)),
        # Read now, so that a mistake in it doesn't wait for the end of the training.
        load_split(config, config.test_split, words),
    )


def hold_out(config: ml_collections.ConfigDict, labels: np.ndarray) -> np.ndarray:
    """Which reviews of the training split validate <bool>[reviews]; `config` is the `data` part.

    Raises UserError when that leaves none to train on or to validate, or all of training are of
    one of the labels <int>[reviews].
    """
    held_out = batch_plan.held_out(len(labels), config.validation_share)
    if held_out.all() or not held_out.any():
        raise UserError(
            f"config.data.validation_share: got {config.validation_share} of {len(labels)} "
            "reviews, which leaves none on one side; accepted is a share that leaves some on both"
        )
    left = np.unique(labels[~held_out])
    if len(left) == 1:
        raise UserError(
            f"config.data.source: all reviews of the split {config.train_split!r} have the label "
            f"{left[0]}; both 0 and 1 are needed"
        )
    return held_out


def load_scorer(
    config: ml_collections.ConfigDict, store: Store, checkpoint: str
) -> tuple[Scorer, Vocabulary, Manifest]:
    """What evaluates or predicts with a run's checkpoint, and which checkpoint that is."""
    words = stored_vocabulary(store)
    if words is None:
        raise UserError(
            f"--workdir: {store.url}/{VOCABULARY_FILE} is missing; give the training command, "
            "which brings it back"
        )
    strategy = make_strategy(config)
    with strategy.scope():
        model = StackedLSTM(config.model, len(words), config.seed)

    def read(path: str, manifest: Manifest) -> None:
        check_vocabulary(store, words, manifest)
        train_state.load_weights(path, config, model)

    manifest = restore(store, checkpoint, read)
    if manifest is None:
        raise UserError(f"--workdir: {store.url} holds no checkpoint yet; let its training run on")
    return Scorer(strategy, model, config.evaluation.batch_size), words, manifest


def check_vocabulary(store: Store, words: Vocabulary, manifest: Manifest) -> None:
    """Raises UserError when a workdir's vocabulary is not the one a checkpoint was trained with."""
    if manifest.vocabulary != words.digest:
        raise UserError(
            f"--workdir: {store.url}/{VOCABULARY_FILE} is not the vocabulary that the checkpoint "
            f"of step {manifest.step} was trained with; bring back that file"
        )
