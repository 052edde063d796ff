"""The objective of a config.

objective = create_objective(config)
"""

import ml_collections

from trainer.learning.objectives.classification import Classification
from trainer.learning.objectives.objective import Objective


def create_objective(config: ml_collections.ConfigDict) -> Objective:
    """Returns the objective of a whole config."""
    return Classification(config.train.label_smoothing)
