"""A language model of IMDB reviews with and without labels, for a classifier to start from.

    python -m trainer --config=configs/imdb_lm.py --workdir=runs/imdb-lm

configs/imdb_semi.py is the classifier. Takes an hour on two cores (AMD EPYC, no GPU) that had other
work too. The perplexity of the validation reviews is 112 then.
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
    config.model.layer_sizes = (384,)
    config.model.dropout = 0.1
    config.objective.sampled_words = 500
    # From the second epoch on mostly words that come soon: what they are is more about the review's
    # verdict than the next word is. At first a network learns nothing from them.
    config.objective.terms.distant = 10.0
    config.objective.terms_after_epochs = 1
    config.train.batch_size = 32
    config.train.epochs = 6
    return config
