"""A language model of IMDB reviews with and without labels, for a classifier to start from.

    python -m trainer --config=configs/imdb_lm.py --workdir=runs/imdb-lm

docs/accuracy.md has the command of the classifier. It was trained for the first of its two epochs
only: the perplexity of the validation reviews is 399 then.
"""

import ml_collections

from configs import imdb_lstm


def get_config() -> ml_collections.ConfigDict:
    config = imdb_lstm.get_config()
    config.objective.name = "language_model"
    config.data.punctuation = True
    config.data.unlabelled_split = "unsupervised"
    # A language model is tested with the full softmax, which takes a minute for 2,000 reviews.
    config.data.test_split = "test[:8%]"
    config.model.dropout = 0.1
    config.train.epochs = 2
    config.optimizer.learning_rate = 1.5e-3
    return config
