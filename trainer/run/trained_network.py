"""A trained network from a workdir, to evaluate or to predict with.

trained = load_trained(config, store, "best")
trained.objective, trained.network, trained.encoding, trained.manifest
"""

from typing import NamedTuple

import ml_collections

from input_pipeline.encoding import Encoding, read_encoding
from input_pipeline.vocabulary import VOCABULARY_FILE
from storage.errors import UserError
from storage.store import Store
from trainer.learning import train_state
from trainer.learning.objectives.objective import Objective, score_metric
from trainer.learning.objectives.registry import create_objective
from trainer.learning.predictor import Predictor
from trainer.machines import threads
from trainer.machines.strategy import device_count
from trainer.model.network import Classifier, Encoder
from trainer.run.checkpoints import restore
from trainer.run.manifest import Manifest
from trainer.run.workdir import check_config, check_encoding


class Trained(NamedTuple):
    """A network with the weights of a checkpoint, and what it was trained with."""

    objective: Objective
    network: Encoder
    encoding: Encoding
    manifest: Manifest

    def describe(self) -> str:
        """Returns which checkpoint it is, in words."""
        return self.manifest.describe(score_metric(self.objective))


def load_predictor(
    config: ml_collections.ConfigDict, store: Store, checkpoint: str, mode: str
) -> tuple[Predictor, Trained]:
    """Loads a checkpoint as `load_trained` does, as a predictor of the labels of texts.

    Raises UserError, which names `mode`, when the run learns no labels.
    """
    threads.set_threads(config.strategy, on_cpus=not device_count("GPU"))
    trained = load_trained(config, store, checkpoint)
    return make_predictor(config, store, trained, mode), trained


def make_predictor(
    config: ml_collections.ConfigDict, store: Store, trained: Trained, mode: str
) -> Predictor:
    """Returns what predicts with a network that `load_trained` loaded; see `load_predictor`."""
    network = classifier_of(store, trained, mode)
    vocabulary, data = trained.encoding.vocabulary, config.data
    return Predictor(network, vocabulary, data.max_tokens, data.keep)


def classifier_of(store: Store, trained: Trained, mode: str) -> Classifier:
    """Returns the network of a run; UserError, which names `mode`, when it predicts no labels."""
    if isinstance(trained.network, Classifier):
        return trained.network
    raise UserError(
        f"--workdir: {store.url} holds a language model, which predicts no labels, as "
        f"--mode={mode} needs; a training with --config.checkpoint.init_from={store.url} starts a "
        "classifier from it"
    )


def load_trained(config: ml_collections.ConfigDict, store: Store, checkpoint: str) -> Trained:
    """Loads a checkpoint ('best', 'last' or a step) of the run in a workdir, whose config this is.

    The network is created in the strategy scope of the caller.
    """
    encoding = read_encoding(store)
    if encoding is None:
        raise UserError(
            f"--workdir: {store.url}/{VOCABULARY_FILE} is missing; give the training command, "
            "which writes it again"
        )
    objective = create_objective(config, encoding.labels)
    network = objective.network(config, len(encoding.vocabulary))

    def read(path: str, manifest: Manifest) -> None:
        check_config(store, manifest)
        check_encoding(store, encoding, manifest)
        train_state.load_weights(path, config, network)

    manifest = restore(store, checkpoint, read)
    if manifest is None:
        raise UserError(f"--workdir: {store.url} holds no checkpoint yet; let its training run on")
    return Trained(objective, network, encoding, manifest)
