"""The objectives, by the name that a config gives them.

objective = create_objective(config, labels)
"""

from collections.abc import Callable

import ml_collections

from input_pipeline.labels import Labels
from trainer.learning.objectives.classification import Classification
from trainer.learning.objectives.language_model import LanguageModeling
from trainer.learning.objectives.multiclass import Multiclass
from trainer.learning.objectives.objective import Objective


def _classification(config: ml_collections.ConfigDict, labels: Labels) -> Objective:
    kind = Classification if len(labels) == 2 else Multiclass
    return kind(labels, config.train.label_smoothing)


def _language_model(config: ml_collections.ConfigDict, labels: Labels) -> Objective:
    return LanguageModeling(config.model.bidirectional, config.objective.sampled_words)


_MAKERS: dict[str, Callable[[ml_collections.ConfigDict, Labels], Objective]] = {
    "classification": _classification,
    "language_model": _language_model,
}


def create_objective(config: ml_collections.ConfigDict, labels: Labels) -> Objective:
    """Returns the objective of a whole config for reviews with these labels."""
    return _MAKERS[config.objective.name](config, labels)
