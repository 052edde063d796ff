"""A loss of two terms, each with a denominator of its own, against a plain computation."""

import numpy as np
import pytest
import tensorflow as tf

from input_pipeline import batch_plan
from input_pipeline.labels import SENTIMENTS
from tests.trainer.learning.random_reviews import VOCABULARY, make_reviews, strategy_of
from trainer.learning import steps, train_state
from trainer.learning.losses import binary_cross_entropy
from trainer.learning.objectives.classification import Classification
from trainer.learning.objectives.objective import Sums, train_metric_names
from trainer.machines.distribution import distribute
from trainer.model.network import Inputs

FACTOR = 0.5
ROWS = 16  # of a batch; the last one is not full, so some replicas see few reviews or none


class WithPerturbed(Classification):
    """A toy: a second term on shifted embeddings, in which a review counts by its length."""

    terms = {"classification": 1.0, "perturbed": FACTOR}  # noqa: RUF012
    train_metrics = ("accuracy",)

    def weights(self, batch):
        tokens = batch.weights * tf.cast(batch.lengths, tf.float32)
        return tf.stack([tf.reduce_sum(batch.weights), tf.reduce_sum(tokens)])

    def frozen(self, network, batch, key):
        return shift(network.embed(batch.tokens))

    def sums(self, network, batch, key, frozen):
        plain = super().sums(network, batch, key, ())
        logits = network.logits(Inputs(network.embed(batch.tokens) + frozen), batch.lengths, key)
        tokens = batch.weights * tf.cast(batch.lengths, tf.float32)
        perturbed, _ = binary_cross_entropy(logits, batch.labels, tokens, 0.0)
        return Sums(tf.concat([plain.losses, [perturbed]], axis=0), plain.metrics)


def shift(embedded):
    """A perturbation that depends on the embedding; no gradient may flow through it."""
    return 0.1 * tf.sign(embedded) + 2.0 * embedded


def plain_loss(network, reviews):
    """The loss of all reviews at once; and the means of both terms."""
    lengths = tf.cast(reviews.lengths, tf.int32)
    labels = tf.constant(reviews.labels, tf.float32)
    embedded = network.embed(reviews.tokens.to_tensor())
    means = []
    for values, weights in (
        (embedded, tf.ones(len(reviews))),
        (embedded + tf.stop_gradient(shift(embedded)), tf.cast(lengths, tf.float32)),
    ):
        logits = network.logits(Inputs(values), lengths)
        losses = tf.nn.sigmoid_cross_entropy_with_logits(labels, logits)
        means.append(tf.reduce_sum(losses * weights) / tf.reduce_sum(weights))
    return means[0] + FACTOR * means[1], means


@pytest.mark.parametrize(("replicas", "slices"), [(1, 1), (2, 4), (4, 4)])
def test_gradient_is_that_of_the_plain_loss(config, replicas, slices):
    config.model.update(dropout=0.0, layer_sizes=(4,))  # quick to trace
    config.optimizer.update(clip_norm=0.0, beta1=0.0)  # the first moment is the gradient then
    config.train.update(batch_size=ROWS, slices=slices)
    reviews = make_reviews(ROWS - 3)
    plan = batch_plan.evaluation_plan(reviews.lengths, ROWS, 8)
    objective, strategy = WithPerturbed(SENTIMENTS, 0.0), strategy_of(replicas)
    with strategy.scope():
        state = train_state.create(objective, config, VOCABULARY)
    train_steps = steps.make_train_steps(strategy, objective, state, config, total_steps=10)
    result = train_steps(distribute(strategy, reviews, plan), tf.constant(1))

    network = objective.network(config, VOCABULARY)
    with tf.GradientTape() as tape:
        loss, means = plain_loss(network, reviews)
    expected = [tf.convert_to_tensor(g) for g in tape.gradient(loss, network.weights)]
    for moment, gradient in zip(state.optimizer.first, expected, strict=True):
        np.testing.assert_allclose(moment.numpy(), gradient, rtol=1e-4, atol=1e-7)
    sums, weights = result.metrics.numpy()[0].T
    assert train_metric_names(objective) == ("loss", "classification", "perturbed", "accuracy")
    np.testing.assert_allclose((sums / weights)[:3], [loss, *means], rtol=1e-5)
    tokens = reviews.lengths.sum()
    np.testing.assert_array_equal(weights, [len(reviews), len(reviews), tokens, len(reviews)])
