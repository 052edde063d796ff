"""IMDB with its reviews without labels: configs/imdb_best.py, started from a language model of all.

    python -m trainer --config=configs/imdb_lm.py --workdir=runs/imdb-lm
    python -m trainer --config=configs/imdb_semi.py --workdir=runs/imdb-semi
"""

import ml_collections

from configs import imdb_best, imdb_lm


def get_config() -> ml_collections.ConfigDict:
    config = imdb_best.get_config()
    config.checkpoint.init_from = "runs/imdb-lm"
    config.model.layer_sizes = imdb_lm.get_config().model.layer_sizes
    # In an embedding that a language model has shaped, a perturbation of 5 gives the label away: the
    # training reviews are learned by heart, and the others become worse.
    config.objective.perturbation = 1.0
    config.train.epochs = 2
    return config
