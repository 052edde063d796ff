"""What a workdir says about its run: the config and the vocabulary.

    config = stored_config(store)
    config = scoring_config(store, given=None)      # to evaluate or predict on this machine
    vocabulary = read_vocabulary(store) or initial_vocabulary(config)

Nothing here writes.
"""

import json

import ml_collections

from configs import default
from configs.schema import resume, rules
from input_pipeline import load
from input_pipeline.vocabulary import VOCABULARY_FILE, Vocabulary, read_vocabulary
from storage.errors import UserError
from storage.store import Store, open_store
from trainer.run.manifest import Manifest

CONFIG_FILE = "config.json"


def stored_config(store: Store) -> ml_collections.ConfigDict:
    """Returns the config of the run in a workdir; UserError when there is none."""
    try:
        content = json.loads(store.read(CONFIG_FILE))
        if not isinstance(content, dict):
            raise ValueError("no JSON object")
        config = ml_collections.ConfigDict(resume.completed(content))
    except FileNotFoundError as error:
        raise UserError(
            f"--workdir: {store.url} holds no run ({CONFIG_FILE} is missing); give the training "
            "command, which begins one or brings the file back"
        ) from error
    except ValueError as error:
        raise UserError(
            f"--workdir: {store.url}/{CONFIG_FILE} can't be read ({error}); delete it and give the "
            "training command, which writes it again"
        ) from error
    rules.check(config)
    return config


def scoring_config(
    store: Store, given: ml_collections.ConfigDict | None
) -> ml_collections.ConfigDict:
    """Returns the config of the run in a workdir, with the fields of `given` that it may change.

    Those say where the reviews are and what to run on. Without `given` the strategy is the default
    one: the machines of the training may not be here.
    """
    config = stored_config(store)
    config.strategy.update(default.get_config().strategy)
    if given is not None:
        for field in ("source", "dir", "test_split", "on_bad_text", "cache_dir", "cache_bytes"):
            config.data[field] = given.data[field]
        config.strategy.update(given.strategy)
        config.evaluation.update(given.evaluation)
    return config


def initial_vocabulary(config: ml_collections.ConfigDict) -> Vocabulary:
    """Returns the vocabulary of a fresh run.

    It is the one of the run in `checkpoint.init_from`, or else made of the training reviews.
    """
    if not config.checkpoint.init_from:
        return load.make_vocabulary(config.data)
    vocabulary = read_vocabulary(open_init_from(config))
    if vocabulary is None:
        raise UserError(
            f"config.checkpoint.init_from: {config.checkpoint.init_from} holds no run "
            f"({VOCABULARY_FILE} is missing); give the workdir of one"
        )
    return vocabulary


def open_init_from(config: ml_collections.ConfigDict) -> Store:
    """Opens the workdir of the run whose weights and vocabulary a fresh run starts from."""
    checkpoint = config.checkpoint
    return open_store(checkpoint.init_from, "config.checkpoint.init_from", checkpoint.retry_seconds)


def check_vocabulary(store: Store, vocabulary: Vocabulary, manifest: Manifest) -> None:
    """Raises UserError when a checkpoint was trained with another vocabulary than the workdir's."""
    if manifest.vocabulary != vocabulary.digest:
        raise UserError(
            f"--workdir: {store.url}/{VOCABULARY_FILE} is not the vocabulary that the checkpoint "
            f"of step {manifest.step} was trained with; bring back that file"
        )
