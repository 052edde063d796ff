"""What a workdir says about its run, beside its config: the encoding.

    config = scoring_config(store, given=None)      # to evaluate or predict on this machine
    encoding = read_encoding(store) or initial_encoding(config)

Nothing here writes.
"""

import ml_collections

from configs import default
from configs.schema import resume
from configs.schema.stored import CONFIG_FILE, predicts_labels, stored_config
from input_pipeline import load
from input_pipeline.encoding import Encoding, read_encoding
from input_pipeline.labels import LABELS_FILE, Labels
from input_pipeline.sources.reviews import Reviews
from input_pipeline.vocabulary import VOCABULARY_FILE
from storage.errors import UserError
from storage.store import Store, open_store
from trainer.run.manifest import Manifest

INIT_FROM = "config.checkpoint.init_from"
RECIPE_FILE = "prepare.json"  # in a folder of prepared shards
_WHERE_REVIEWS_ARE = (
    *("source", "dir", "test_split", "text_column", "label_column", "on_bad_text"),
    *("cache_dir", "cache_bytes"),
)


def require_no_shards(store: Store) -> None:
    """Raises UserError when a folder for a run holds prepared shards."""
    if store.exists(RECIPE_FILE):
        raise UserError(
            f"--workdir: {store.url} holds prepared shards; give a separate folder for the run, "
            f"and read them with --config.data.source=shards:{store.url}"
        )


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
        for field in _WHERE_REVIEWS_ARE:
            config.data[field] = given.data[field]
        config.strategy.update(given.strategy)
        config.evaluation.update(given.evaluation)
    return config


def initial_encoding(
    config: ml_collections.ConfigDict,
    reviews: Reviews | None = None,
    labels: Labels | None = None,
) -> Encoding:
    """Returns the encoding of a fresh run.

    It is the one of the run in `checkpoint.init_from`, or else made of the training reviews. Of a
    language model the vocabulary is taken over alone. `reviews` are those of `load.open_reviews`,
    and `labels` theirs; found here when they are needed and not given.
    """
    if not config.checkpoint.init_from:
        return (reviews or load.open_reviews(config.data)).make_encoding()
    other = open_init_from(config)
    encoding = read_encoding(other)
    if encoding is None:
        raise UserError(
            f"{INIT_FROM}: {other.url} holds no run ({VOCABULARY_FILE} is missing); give the "
            "workdir of one"
        )
    if not predicts_labels(stored_config(other, INIT_FROM)):
        own = labels or (reviews or load.open_reviews(config.data)).make_encoding().labels
        encoding = encoding._replace(labels=own)
    encoding.require(config.data, f"the run in {INIT_FROM}")
    return encoding


def open_init_from(config: ml_collections.ConfigDict) -> Store:
    """Opens the workdir of the run whose weights and vocabulary a fresh run starts from."""
    checkpoint = config.checkpoint
    return open_store(checkpoint.init_from, INIT_FROM, checkpoint.retry_seconds)


def check_config(store: Store, manifest: Manifest, field: str = "--workdir") -> None:
    """Raises UserError when a checkpoint was trained with another config than the workdir's.

    `field` is the flag or field that names the workdir.
    """
    stored = stored_config(store, field)
    try:
        resume.require_same_fields(manifest.config, stored)
    except UserError as error:
        raise UserError(
            f"{field}: {store.url}/{CONFIG_FILE} is not the config that the checkpoint of step "
            f"{manifest.step} was trained with ({error}); bring back that file"
        ) from error


def check_encoding(
    store: Store, encoding: Encoding, manifest: Manifest, field: str = "--workdir"
) -> None:
    """Raises UserError when a checkpoint was trained with another encoding than the workdir's.

    `field` is the flag or field that names the workdir.
    """
    same = {
        VOCABULARY_FILE: manifest.vocabulary == encoding.vocabulary.digest,
        LABELS_FILE: manifest.labels == encoding.labels.names,
    }
    for name, is_same in same.items():
        if not is_same:
            raise UserError(
                f"{field}: {store.url}/{name} is not the file that the checkpoint of step "
                f"{manifest.step} was trained with; bring back that file"
            )
