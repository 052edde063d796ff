"""The objectives, by the name that a config gives them.

objective = create_objective(config)
"""

from collections.abc import Callable

import ml_collections

from trainer.learning.objectives.classification import Classification
from trainer.learning.objectives.objective import Objective

_MAKERS: dict[str, Callable[[ml_collections.ConfigDict], Objective]] = {
    "classification": lambda config: Classification(config.train.label_smoothing),
}


def create_objective(config: ml_collections.ConfigDict) -> Objective:
    """Returns the objective of a whole config."""
    return _MAKERS[config.objective.name](config)
