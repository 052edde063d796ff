"""The predictor gives the evaluation's probabilities, and is all in the graph."""

import numpy as np
import pytest
import tensorflow as tf

from configs import default
from input_pipeline.examples import Examples
from input_pipeline.labels import SENTIMENTS
from input_pipeline.sources import sample_corpus
from input_pipeline.vocabulary import build
from trainer.learning.objectives.classification import Classification
from trainer.learning.predictor import Predictor
from trainer.learning.scorer import Scorer

TEXTS = [review for review, _ in sample_corpus.reviews("test")[:60]]
TEXTS += ["", "wonderful", "zyzzyva " * 90]


@pytest.fixture(scope="module")
def config():
    config = default.get_config()
    config.data.update(max_tokens=24, keep="head_tail", width_step=8)
    config.model.update(embedding_size=16, layer_sizes=(12, 8), bidirectional=True)
    config.model.pooling = "concat"
    return config


@pytest.fixture(scope="module")
def vocabulary():
    counts = {token: 1 for review in TEXTS for token in review.split() if token.isalpha()}
    return build(counts, 300)


@pytest.fixture(scope="module")
def network(config, vocabulary):
    network = Classification(SENTIMENTS, 0.0).network(config, len(vocabulary))
    network.head.kernel.assign(network.head.kernel * 40.0)  # probabilities far from one half too
    return network


@pytest.fixture(scope="module")
def predictor(config, network, vocabulary):
    return Predictor(network, vocabulary, config.data.max_tokens, config.data.keep)


@pytest.fixture(scope="module")
def evaluated(config, network, vocabulary):
    """The probabilities of an evaluation, in batches of reviews of about one length."""
    ids = vocabulary.encode(tf.constant(TEXTS))
    reviews = Examples(ids, np.zeros(len(TEXTS), np.int32))
    reviews = reviews.shortened(config.data.max_tokens, config.data.keep)
    scorer = Scorer(tf.distribute.get_strategy(), Classification(SENTIMENTS, 0.0), network, config)
    positive = 1 / (1 + np.exp(-scorer(reviews, config.data.width_step)))
    return np.stack([1 - positive, positive], axis=1)


@pytest.mark.parametrize("size", [1, 7, len(TEXTS)])
def test_probabilities_are_those_of_the_evaluation_for_any_batch_size(predictor, evaluated, size):
    batches = [TEXTS[start : start + size] for start in range(0, len(TEXTS), size)]
    predicted = np.concatenate([predictor(tf.constant(batch)).numpy() for batch in batches])
    assert np.ptp(predicted) > 0.3  # not all near one half
    np.testing.assert_allclose(predicted, evaluated, rtol=0, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 16, 256])
def test_many_texts_get_their_probabilities_in_order(predictor, batch_size):
    many = predictor.of_many(TEXTS, batch_size, width_step=8)
    np.testing.assert_allclose(many, predictor(tf.constant(TEXTS)).numpy(), rtol=0, atol=1e-6)


def test_batches_of_many_texts_are_checked_and_traced_once(predictor):
    checks = []
    predictor.of_many(TEXTS, 16, 8, lambda: checks.append(1))
    assert len(checks) == -(-len(TEXTS) // 16)
    assert predictor._of_ids.experimental_get_tracing_count() == 1


def test_order_of_a_batch_does_not_matter(predictor):
    forward = predictor(tf.constant(TEXTS)).numpy()
    backward = predictor(tf.constant(TEXTS[::-1])).numpy()
    np.testing.assert_allclose(backward[::-1], forward, rtol=0, atol=1e-6)


def test_predictor_is_traced_once_for_all_batches(predictor):
    predictor(tf.constant(["a film"]))
    predictor(tf.constant(["a film of many words"] * 9))
    assert predictor.__call__.experimental_get_tracing_count() == 1


def test_saved_model_gives_the_same_probabilities(predictor, tmp_path):
    tf.saved_model.save(predictor, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    expected = predictor(tf.constant(TEXTS)).numpy()
    np.testing.assert_allclose(loaded(tf.constant(TEXTS)), expected, rtol=0, atol=1e-6)
