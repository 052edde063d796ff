"""Several runs as one: the mean of the probabilities that they give each label.

    ensemble = load_ensemble(config, [store, other], "best", "predict")
    ensemble.probabilities(["A film to remember."])         # <float32>[1, labels]
    members = load_members(config, [store, other], "best")  # the networks, to evaluate

The runs have the same labels in the same order. Their vocabularies and networks may differ: each
run splits a text and computes its probabilities as it does alone. A single run is its own mean.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import ml_collections
import numpy as np

from input_pipeline.labels import Labels, read_labels
from storage.errors import UserError
from storage.store import Store
from trainer.learning.predictor import Predictor
from trainer.machines import threads
from trainer.machines.strategy import device_count
from trainer.run.run_names import short_names
from trainer.run.trained_network import Trained, load_trained, make_predictor
from trainer.run.workdir import scoring_config


class Member(NamedTuple):
    """A run of an ensemble, with the weights of one of its checkpoints."""

    name: str  # short, and distinct among the members
    store: Store
    config: ml_collections.ConfigDict
    trained: Trained


class Ensemble:
    """Predicts the labels of texts with one or more networks."""

    def __init__(self, members: Sequence[Member], predictors: Sequence[Predictor]):
        self._members, self._predictors = members, predictors

    @property
    def labels(self) -> Labels:
        """Returns the labels of all members."""
        return self._members[0].trained.encoding.labels

    def probabilities(
        self, texts: Sequence[str], check: Callable[[], None] = lambda: None
    ) -> np.ndarray:
        """Returns the mean probability of each label <float32>[texts, labels], for texts.

        There is at least one text. `check` is called before each batch and may raise to leave.
        """
        each = [
            predictor.of_many(
                texts, member.config.evaluation.batch_size, member.config.data.width_step, check
            )
            for member, predictor in zip(self._members, self._predictors, strict=True)
        ]
        return np.stack(each).mean(axis=0, dtype=np.float64).astype(np.float32)

    def identity(self) -> str:
        """Returns which checkpoints these are, such as "step 82 (0c0ffee0)", to recognise them."""
        manifests = [member.trained.manifest for member in self._members]
        return ", ".join(f"step {known.step} ({known.digest:08x})" for known in manifests)

    def describe(self) -> str:
        """Returns which checkpoints these are, in words."""
        return describe(self._members)


def describe(members: Sequence[Member]) -> str:
    """Returns which checkpoints the members are, in words."""
    if len(members) == 1:
        return members[0].trained.describe()
    return "; ".join(f"{member.name}: {member.trained.describe()}" for member in members)


def load_ensemble(
    config: ml_collections.ConfigDict, stores: Sequence[Store], checkpoint: str, mode: str
) -> Ensemble:
    """Loads members as `load_members` does, to predict with on one device.

    Raises UserError, which names `mode`, when a run learns no labels.
    """
    threads.set_threads(config.strategy, on_cpus=not device_count("GPU"))
    members = load_members(config, stores, checkpoint)
    predictors = [
        make_predictor(member.config, member.store, member.trained, mode) for member in members
    ]
    return Ensemble(members, predictors)


def load_members(
    config: ml_collections.ConfigDict, stores: Sequence[Store], checkpoint: str
) -> list[Member]:
    """Loads a checkpoint ('best', 'last' or a step) of each of the runs in some workdirs.

    `config` is that of the first, as `scoring_config` returns it. The others are given its reviews,
    batch size and devices. The networks are created in the strategy scope of the caller. Raises
    UserError when runs don't fit together, and as `load_trained` does.
    """
    names = short_names([store.url for store in stores], "--workdir")
    configs = [config, *(scoring_config(store, config) for store in stores[1:])]
    _require_same_labels(stores)
    members = [
        Member(name, store, its, load_trained(its, store, checkpoint))
        for name, store, its in zip(names, stores, configs, strict=True)
    ]
    _require_different_checkpoints(members)
    return members


def _require_same_labels(stores: Sequence[Store]) -> None:
    first, *others = stores
    labels = read_labels(first)
    for store in others:
        found = read_labels(store)
        if found != labels:
            raise UserError(
                f"--workdir: {store.url} has the labels {found}, but {first.url} has {labels}; "
                "give runs with the same labels in the same order"
            )


def _require_different_checkpoints(members: Sequence[Member]) -> None:
    """Raises UserError when two workdirs are one, by another path, or copies of one."""
    seen: dict[int, Member] = {}
    for member in members:
        other = seen.setdefault(member.trained.manifest.digest, member)
        if other is not member:
            raise UserError(
                f"--workdir: {other.store.url} and {member.store.url} hold the same checkpoint, "
                f"step {member.trained.manifest.step}; give each run once"
            )
