"""The state of a run before its first step: its weights, and what is made of the reviews once.

with strategy.scope():
    state = fresh_state(objective, config, store, encoding, data, check_match)
"""

from collections.abc import Callable

import ml_collections

from input_pipeline.encoding import Encoding
from input_pipeline.load import TrainingData
from storage.store import Store
from trainer.learning import naive_bayes, train_state
from trainer.learning.objectives.objective import Objective
from trainer.learning.train_state import TrainState
from trainer.model.network import Classifier
from trainer.run.checkpoints import ranked
from trainer.run.init_from import load_initial_weights
from trainer.run.initial_vectors import load_vectors
from trainer.run.manifest import Manifest


def fresh_state(
    objective: Objective,
    config: ml_collections.ConfigDict,
    store: Store,
    encoding: Encoding,
    data: TrainingData,
    check_match: Callable[[Manifest], None],
) -> TrainState:
    """Creates a run's state in the strategy's scope.

    `check_match` is called with the newest checkpoint's manifest if there is one. That checkpoint
    will be read later; otherwise the state gets the weights that the config asks for.
    """
    state = train_state.create(objective, config, len(encoding.vocabulary))
    newest = ranked(store, "last")[:1]
    for manifest in newest:
        check_match(manifest)
    if newest:
        return state
    load_vectors(config, encoding.vocabulary, state)
    if config.checkpoint.init_from and load_initial_weights(config, encoding, state):
        return state
    networks = [n for n in (state.model, state.average) if isinstance(n, Classifier) and n.wide]
    if networks:
        epoch = data.train.epoch(config.train.batch_size, config.data.width_step, 0, epoch=0)
        with epoch.faults():
            naive_bayes.set_ratios(networks, epoch.batches(replicas=1))
    return state
