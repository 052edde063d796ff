"""Run with `python -m pytest tests/trainer/learning/naive_bayes_test.py`."""

import collections
import math

import numpy as np
import pytest
import tensorflow as tf

from input_pipeline.pipeline import Batch
from trainer.learning import naive_bayes
from trainer.model.kernels import KERNELS
from trainer.model.network import Classifier

BUCKETS = 2**12
REVIEWS = [([2, 3, 2], 0), ([3, 4], 1), ([4, 4, 5], 1), ([2, 5], 2)]


def batches_of(reviews):
    for tokens, label in reviews:
        yield Batch(
            tokens=tf.constant([[*tokens, 0], [0] * (len(tokens) + 1)]),
            lengths=tf.constant([len(tokens), 0]),
            labels=tf.constant([label, 0]),
            weights=tf.constant([1.0, 0.0]),
        )


def shares(reviews):
    """The share of each word among those of some reviews, each review's words counted once."""
    counts = collections.Counter(token for tokens, _ in reviews for token in set(tokens))
    whole = sum(counts.values()) + BUCKETS
    return {token: (counts[token] + 1) / whole for token in range(2, 6)}


@pytest.mark.parametrize("labels", [2, 3])
def test_ratios_are_those_of_the_formula(config, labels):
    config.model.update(wide_buckets=BUCKETS, wide_ngrams=1, layer_sizes=(4,))
    networks = [Classifier(config.model, 10, labels, 0, KERNELS["cpu"]) for _ in range(2)]
    reviews = [(tokens, min(label, labels - 1)) for tokens, label in REVIEWS]
    naive_bayes.set_ratios(networks, batches_of(reviews))
    for network in networks:
        buckets, _ = network.wide.n_grams(tf.constant([[2, 3, 4, 5]]))
        found = network.wide.ratios.numpy()[buckets.numpy().ravel()]  # [words, outputs]
        for output, label in enumerate(range(labels) if labels > 2 else [1]):
            p = shares([review for review in reviews if review[1] == label])
            q = shares([review for review in reviews if review[1] != label])
            expected = [math.log(p[token] / q[token]) for token in range(2, 6)]
            np.testing.assert_allclose(found[:, output], expected, rtol=1e-5)
