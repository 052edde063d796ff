"""A fresh run's first weights: those of another run's best checkpoint.

has_all = load_initial_weights(config, encoding, state)

The encoder, which is the embedding and the LSTM layers, is taken over from any run with the same
one; the rest of the network, if the other run has that too.
"""

import json

import ml_collections

from configs.schema.stored import predicts_labels, stored_config
from input_pipeline.encoding import Encoding
from input_pipeline.labels import read_labels
from storage.errors import UserError
from trainer.learning import train_state
from trainer.learning.train_state import TrainState
from trainer.run import terminal
from trainer.run.checkpoints import restore
from trainer.run.manifest import Manifest
from trainer.run.workdir import INIT_FROM, check_config, check_encoding, open_init_from

# The fields that decide the encoder of a network; and those that decide the rest.
_ENCODER = ("embedding_size", "layer_sizes", "bidirectional")
_HEAD = ("pooling", "wide_buckets")


def load_initial_weights(
    config: ml_collections.ConfigDict, encoding: Encoding, state: TrainState
) -> bool:
    """Reads the weights of the run in `checkpoint.init_from` into a fresh state.

    Returns True when these are all weights, False when they are those of the encoder alone. Raises
    UserError when that run has another encoder or encoding, or no checkpoint.
    """
    other = open_init_from(config)
    other_config = stored_config(other, INIT_FROM)
    for field in _ENCODER:
        if not _is_same(field, config.model, other_config.model):
            raise UserError(
                f"config.model.{field}: got {config.model[field]!r}, but the run in "
                f"{INIT_FROM} has {other_config.model[field]!r}; give that value"
            )
    has_all = _has_same_head(config, other_config)
    load = train_state.load_weights if has_all else train_state.load_encoder
    trained_on = encoding
    if not predicts_labels(other_config):
        trained_on = encoding._replace(labels=read_labels(other))

    def read(path: str, manifest: Manifest) -> None:
        check_config(other, manifest, INIT_FROM)
        check_encoding(other, trained_on, manifest, INIT_FROM)
        for network in filter(None, (state.model, state.average)):
            load(path, other_config, network)

    manifest = restore(other, "best", read)
    if manifest is None:
        raise UserError(f"{INIT_FROM}: {other.url} holds no checkpoint yet")
    what = "all weights" if has_all else "the encoder"
    terminal.say(f"Starting from {what} of {other.url}, step {manifest.step}")
    return has_all


def _has_same_head(config: ml_collections.ConfigDict, other: ml_collections.ConfigDict) -> bool:
    if not _is_same("name", config.objective, other.objective):
        return False
    if not predicts_labels(config):
        return bool(config.objective.terms.distant) == bool(other.objective.terms.distant)
    fields = (*_HEAD, "wide_ngrams") if config.model.wide_buckets else _HEAD
    return all(_is_same(field, config.model, other.model) for field in fields)


def _is_same(
    field: str, section: ml_collections.ConfigDict, other: ml_collections.ConfigDict
) -> bool:
    # As JSON, since a stored tuple comes back as a list.
    return json.dumps(section[field]) == json.dumps(other[field])
