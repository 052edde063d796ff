"""A fresh run's first weights: those of another run's best checkpoint.

load_initial_weights(config, encoding, state)
"""

import json

import ml_collections

from configs.schema.stored import stored_config
from input_pipeline.encoding import Encoding
from storage.errors import UserError
from trainer.learning import train_state
from trainer.learning.train_state import TrainState
from trainer.run import terminal
from trainer.run.checkpoints import restore
from trainer.run.manifest import Manifest
from trainer.run.workdir import check_config, check_encoding, open_init_from

_SHAPES = (
    "embedding_size",
    "layer_sizes",
    "bidirectional",
    "pooling",
    "wide_buckets",
    "wide_ngrams",
)


def load_initial_weights(
    config: ml_collections.ConfigDict, encoding: Encoding, state: TrainState
) -> None:
    """Reads the weights of the run in `checkpoint.init_from` into a fresh state.

    Raises UserError when that run has another network or encoding, or no checkpoint.
    """
    other = open_init_from(config)
    other_config = stored_config(other)
    for field in _SHAPES:
        # As JSON, since a stored tuple comes back as a list.
        if json.dumps(other_config.model[field]) != json.dumps(config.model[field]):
            raise UserError(
                f"config.model.{field}: got {config.model[field]!r}, but the run in "
                f"config.checkpoint.init_from has {other_config.model[field]!r}; give that value"
            )

    def read(path: str, manifest: Manifest) -> None:
        check_config(other, manifest)
        check_encoding(other, encoding, manifest)
        for network in filter(None, (state.model, state.average)):
            train_state.load_weights(path, other_config, network)

    manifest = restore(other, "best", read)
    if manifest is None:
        raise UserError(f"config.checkpoint.init_from: {other.url} holds no checkpoint yet")
    terminal.say(f"Starting from the weights of {other.url}, step {manifest.step}")
