"""A trained network from a workdir, to evaluate or to predict with.

network, vocabulary, manifest = load_network(config, store, "best")
"""

import ml_collections

from input_pipeline.vocabulary import VOCABULARY_FILE, Vocabulary, read_vocabulary
from storage.errors import UserError
from storage.store import Store
from trainer.learning import train_state
from trainer.learning.scorer import Scorer
from trainer.machines import strategy as strategies
from trainer.model.network import StackedLSTM
from trainer.run.checkpoints import Manifest, restore
from trainer.run.workdir import check_vocabulary


def load_scorer(
    config: ml_collections.ConfigDict, store: Store, checkpoint: str
) -> tuple[Scorer, Vocabulary, Manifest]:
    """What evaluates or predicts with a run's checkpoint, and which checkpoint that is."""
    words = read_vocabulary(store)
    if words is None:
        raise UserError(
            f"--workdir: {store.url}/{VOCABULARY_FILE} is missing; give the training command, "
            "which brings it back"
        )
    strategy = strategies.make_strategy(config)
    with strategy.scope():
        model = StackedLSTM(config.model, len(words), config.seed)

    def read(path: str, manifest: Manifest) -> None:
        check_vocabulary(store, words, manifest)
        train_state.load_weights(path, config, model)

    manifest = restore(store, checkpoint, read)
    if manifest is None:
        raise UserError(f"--workdir: {store.url} holds no checkpoint yet; let its training run on")
    return Scorer(strategy, model, config.evaluation.batch_size), words, manifest
