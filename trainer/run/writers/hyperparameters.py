"""The fields of a config that decide a run's numbers, as trackers compare runs by them.

hyperparameters(config)     # {"model.layer_sizes": "128, 64", "train.epochs": 5, ...}
"""

import json

import ml_collections

from configs.schema import resume


def hyperparameters(config: ml_collections.ConfigDict) -> dict[str, bool | float | str]:
    """Returns the decisive fields by their full names; a tuple is a text with commas."""
    fields = json.loads(resume.decisive_fields(config))
    fields["train.epochs"] = config.train.epochs  # not decisive with a constant learning rate
    return {
        name: ", ".join(map(str, value)) if isinstance(value, list) else value
        for name, value in fields.items()
    }
