"""The tutorial's network, LSTM layers of 128 and 64 units, on the 25,000 IMDB reviews.

    python -m trainer --config=configs/imdb.py --workdir=runs/imdb

IMDB_RESULT
"""

import ml_collections

from configs import default


def get_config() -> ml_collections.ConfigDict:
    config = default.get_config()
    config.data.source = "tfds:imdb_reviews"
    config.model.pooling = "concat"
    config.model.dropout = 0.3
    config.train.epochs = 3
    config.optimizer.learning_rate = 2e-3
    config.optimizer.schedule = "cosine"
    return config
