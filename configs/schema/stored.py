"""The config that a run's workdir keeps.

config = stored_config(store)
predicts_labels(config)         # False of a language model
"""

import ml_collections

from configs.schema import resume, rules
from storage import json_object
from storage.errors import UserError
from storage.store import Store

CONFIG_FILE = "config.json"


def stored_config(store: Store, field: str = "--workdir") -> ml_collections.ConfigDict:
    """Returns the config of the run in a workdir; UserError when there is none.

    `field` is the flag or field that names the workdir.
    """
    try:
        content = json_object.parse(store.read(CONFIG_FILE))
        config = ml_collections.ConfigDict(resume.completed(content))
    except FileNotFoundError as error:
        raise UserError(
            f"{field}: {store.url} holds no run ({CONFIG_FILE} is missing); give the workdir of a "
            "run, or the training command, which begins one or brings the file back"
        ) from error
    except ValueError as error:
        raise UserError(
            f"{field}: {store.url}/{CONFIG_FILE} can't be read ({error}); delete it and give the "
            "training command, which writes it again"
        ) from error
    try:
        rules.check(config, trains=False)
    except UserError as error:
        raise UserError(
            f"{field}: {store.url}/{CONFIG_FILE} is damaged ({error}); bring it back, or delete "
            "it and give the training command, which writes it again"
        ) from error
    return config


def predicts_labels(config: ml_collections.ConfigDict) -> bool:
    """Returns False for the config of a language model, whose labels mean nothing to other runs."""
    return bool(config.objective.name == "classification")
