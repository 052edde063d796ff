import numpy as np
import tensorflow as tf

from input_pipeline.labels import SENTIMENTS
from tests.trainer.learning.random_reviews import VOCABULARY, make_reviews, strategy_of
from trainer.learning.objectives.registry import create_objective
from trainer.learning.scorer import Scorer


def test_outputs_are_in_the_order_of_the_reviews_on_any_number_of_replicas(config):
    config.evaluation.batch_size, config.train.slices = 8, 4
    reviews, objective = make_reviews(23), create_objective(config, SENTIMENTS)
    plain = objective.network(config, VOCABULARY)
    expected = [
        plain.logits(plain.inputs(row[None]), tf.shape(row))[0].numpy() for row in reviews.tokens
    ]
    for replicas in (1, 2):
        strategy = strategy_of(replicas)
        with strategy.scope():
            network = objective.network(config, VOCABULARY)
        scorer = Scorer(strategy, objective, network, config)
        np.testing.assert_allclose(scorer(reviews, width_step=8), expected, atol=1e-6)
