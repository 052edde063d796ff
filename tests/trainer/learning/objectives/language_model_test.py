"""Run with `python -m pytest tests/trainer/learning/objectives/language_model_test.py`."""

import numpy as np
import pytest
import tensorflow as tf

from input_pipeline import batch_plan
from input_pipeline.labels import SENTIMENTS
from input_pipeline.pipeline import Batch
from tests.trainer.learning.random_reviews import VOCABULARY, make_reviews, strategy_of
from trainer.learning import steps, train_state
from trainer.learning.objectives import language_model
from trainer.learning.objectives.language_model import full_losses, sampled_losses
from trainer.learning.objectives.registry import create_objective
from trainer.learning.sampled_words import chances_of, draw, importance_of
from trainer.machines.distribution import distribute
from trainer.model.dropout import DropoutKey, step_bits

CANDIDATES = np.int32([1, 2, 3, 5, 8, 13, 21, 34])


@pytest.fixture
def config(config):
    config.objective.update(name="language_model", sampled_words=20)
    config.model.update(embedding_size=8, layer_sizes=(4,), bidirectional=True, dropout=0.0)
    return config


@pytest.fixture
def network(config):
    """A network whose weights are large enough to prefer some words to others."""
    return with_random_weights(create_objective(config, SENTIMENTS).network(config, VOCABULARY))


def with_random_weights(network):
    generator = np.random.default_rng(0)
    for weight in network.weights:
        weight.assign(generator.normal(size=weight.shape))
    return network


def next_words(network, batch):
    states = network.states(batch.tokens, batch.lengths)
    return network.next_words(states, batch.tokens, batch.lengths)


def batch_of(reviews, width=40, weights=None):
    count = len(reviews)
    return Batch(
        tokens=reviews.tokens.to_tensor(0, shape=[count, width]),
        lengths=tf.cast(reviews.lengths, tf.int32),
        labels=tf.constant(reviews.labels),
        weights=tf.ones(count) if weights is None else tf.constant(weights, tf.float32),
    )


def logits_and_words(network, batch):
    """The logits <float64>[n, ids] of the words <int>[n] that count, and their rows <int>[n]."""
    found = next_words(network, batch)
    places = found.counted.numpy() > 0
    table, bias = (np.float64(layer.get_weights()[0]) for layer in network_tables(network))
    logits = found.features.numpy()[places] @ table.T + bias[:, 0]
    return logits, found.words.numpy()[places], np.nonzero(places)[0]


def network_tables(network):
    return network.embedding, network.output_bias


def likelihoods(logits, words):
    """The negative log likelihood of each word among all but padding."""
    logits = logits[:, 1:]
    largest = logits.max(axis=1)
    total = np.log(np.exp(logits - largest[:, None]).sum(axis=1)) + largest
    return total - logits[np.arange(len(words)), words - 1]


def key(rows):
    return DropoutKey(step_bits(0, tf.constant(0, tf.int64)), tf.range(rows))


def test_loss_is_that_of_the_full_softmax_and_padding_takes_no_part(config, network):
    config.objective.sampled_words = 0
    objective, reviews = create_objective(config, SENTIMENTS), make_reviews(6)
    weights = [1, 1, 0, 1, 1, 1]
    logits, words, rows = logits_and_words(network, batch_of(reviews))
    expected = (likelihoods(logits, words) * np.float32(weights)[rows]).sum()
    for width in (40, 48):
        batch = batch_of(reviews, width, weights)
        loss = objective.sums(network, batch, key(6), None).losses
        np.testing.assert_allclose(loss, [expected], rtol=1e-5)
        counted = (2 * (reviews.lengths - 1) * weights).sum()
        np.testing.assert_array_equal(objective.weights(batch), [counted])


@pytest.mark.parametrize("sampled_words", [0, 20])
def test_distant_words_have_a_term_of_their_own(config, network, sampled_words):
    config.objective.update(sampled_words=sampled_words, distance=3)
    batch = batch_of(make_reviews(6), weights=[1, 1, 0, 1, 1, 1])
    plain = create_objective(config, SENTIMENTS)
    config.objective.terms.distant = 2.0
    objective = create_objective(config, SENTIMENTS)
    assert objective.terms == {"language_model": 1.0, "distant": 2.0}
    np.testing.assert_array_equal(objective.weights(batch), [*plain.weights(batch)] * 2)
    network = with_random_weights(objective.network(config, VOCABULARY))
    losses = objective.sums(network, batch, key(6), None).losses
    np.testing.assert_allclose(losses[:1], plain.sums(network, batch, key(6), None).losses)

    states = network.states(batch.tokens, batch.lengths)
    found = network.distant_words(states, batch.tokens, batch.lengths, key(6), 3)
    if sampled_words:
        candidates = draw(key(6).bits, VOCABULARY, sampled_words)
        each = sampled_losses(network, found, candidates, np.log(chances_of(VOCABULARY, 20)))
    else:
        each = full_losses(network, found)
    importance = importance_of(VOCABULARY)[found.words.numpy()]
    factors = np.array(batch.weights)[:, None] * found.counted * importance
    np.testing.assert_allclose(losses[1], (factors * each).numpy().sum(), rtol=1e-5)


def test_outputs_are_the_sums_of_each_review_in_pieces_of_any_size(config, network, monkeypatch):
    objective, reviews = create_objective(config, SENTIMENTS), make_reviews(6)
    batch = batch_of(reviews)
    logits, words, rows = logits_and_words(network, batch)
    expected = np.bincount(rows, likelihoods(logits, words), minlength=6)
    for most in (1, 7 * 6 * VOCABULARY, 2**24):
        monkeypatch.setattr(language_model, "MOST_LOGITS", most)
        outputs = objective.outputs(network, batch).numpy()
        np.testing.assert_allclose(outputs[:, 0], expected, rtol=1e-4, atol=1e-4)
        assert outputs[:, 1].tolist() == (2 * (reviews.lengths - 1)).tolist()
    metrics = objective.evaluate(outputs, reviews)
    mean = likelihoods(logits, words).mean()
    assert metrics == pytest.approx({"loss": mean, "perplexity": np.exp(mean)}, rel=1e-4)


def test_reviews_of_one_word_have_no_perplexity(config):
    metrics = create_objective(config, SENTIMENTS).evaluate(np.zeros((3, 2), np.float32), None)
    assert np.isnan([metrics["loss"], metrics["perplexity"]]).all()


def test_sampled_loss_is_that_of_the_formula_and_of_tensorflow(network):
    batch = batch_of(make_reviews(6))
    found = next_words(network, batch)
    log_chances = np.log(np.random.default_rng(1).uniform(0.05, 1.0, VOCABULARY))
    candidates = tf.constant(CANDIDATES)
    losses = sampled_losses(network, found, candidates, log_chances)
    counted = found.counted.numpy() > 0

    logits, words, _ = logits_and_words(network, batch)
    corrected = np.exp(logits - log_chances)
    true = corrected[np.arange(len(words)), words]
    others = (corrected[:, CANDIDATES] * (words[:, None] != CANDIDATES)).sum(axis=1)
    expected = -np.log(true / (true + others))
    np.testing.assert_allclose(losses.numpy()[counted], expected, rtol=1e-3, atol=1e-4)

    table, bias = (layer.get_weights()[0] for layer in network_tables(network))
    chances = np.float32(np.exp(log_chances))
    by_tensorflow = tf.nn.sampled_softmax_loss(
        table,
        bias[:, 0],
        labels=words[:, None],
        inputs=found.features.numpy()[counted],
        num_sampled=len(CANDIDATES),
        num_classes=VOCABULARY,
        sampled_values=(np.int64(CANDIDATES), chances[words][:, None], chances[CANDIDATES]),
    )
    np.testing.assert_allclose(losses.numpy()[counted], by_tensorflow, rtol=1e-3, atol=1e-4)


def test_all_words_as_candidates_give_the_full_softmax(network):
    batch = batch_of(make_reviews(6))
    with tf.GradientTape(persistent=True) as tape:
        found = next_words(network, batch)
        every, chances = tf.range(1, VOCABULARY), np.zeros(VOCABULARY)
        full = found.counted * full_losses(network, found)
        sampled = found.counted * sampled_losses(network, found, every, chances)
    np.testing.assert_allclose(sampled, full, rtol=1e-4, atol=1e-4)
    for gradients in zip(
        *(tape.gradient(x, network.weights) for x in (sampled, full)), strict=True
    ):
        one, other = map(tf.convert_to_tensor, gradients)
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


def plain_gradients(config, network, reviews):
    """The gradients of the mean loss by TensorFlow's own sampled softmax, dense."""
    bits = step_bits(config.seed, tf.constant(0, tf.int64))
    count = config.objective.sampled_words
    candidates = draw(bits, VOCABULARY, count)
    chances = tf.constant(chances_of(VOCABULARY, count), tf.float32)
    batch = batch_of(reviews)
    with tf.GradientTape() as tape:
        found = next_words(network, batch)
        places = tf.where(found.counted > 0)
        words = tf.gather_nd(found.words, places)
        losses = tf.nn.sampled_softmax_loss(
            network.embedding.embeddings.value,
            network.output_bias.embeddings.value[:, 0],
            labels=words[:, None],
            inputs=tf.gather_nd(found.features, places),
            num_sampled=count,
            num_classes=VOCABULARY,
            sampled_values=(
                tf.cast(candidates, tf.int64),
                tf.gather(chances, words)[:, None],
                tf.gather(chances, candidates),
            ),
        )
        loss = tf.reduce_mean(losses)
    return loss, [tf.convert_to_tensor(g) for g in tape.gradient(loss, network.weights)]


def trained(config, replicas, reviews, epoch=0):
    """Trains a step with the objective of an epoch; returns the result and the state."""
    strategy, objective = strategy_of(replicas), create_objective(config, SENTIMENTS)
    plan = batch_plan.training_plan(reviews.lengths, config.train.batch_size, 8, 0, 0)
    with strategy.scope():
        state = train_state.create(objective, config, VOCABULARY)
    learned = objective.at_epoch(epoch)
    train_steps = steps.make_train_steps(strategy, learned, state, config, total_steps=10)
    return train_steps(distribute(strategy, reviews, plan), tf.constant(1)), state


def test_step_has_the_gradient_of_the_plain_loss(config):
    config.optimizer.update(clip_norm=0.0, beta1=0.0)  # the first moment is the gradient then
    config.train.update(batch_size=16, slices=2)
    reviews = make_reviews(13)
    result, state = trained(config, 2, reviews)
    network = create_objective(config, SENTIMENTS).network(config, VOCABULARY)
    loss, expected = plain_gradients(config, network, reviews)
    for moment, gradient in zip(state.optimizer.first, expected, strict=True):
        np.testing.assert_allclose(moment.numpy(), gradient, rtol=1e-3, atol=1e-6)
    (total, weight) = result.metrics.numpy()[0, 0]
    assert weight == 2 * (reviews.lengths - 1).sum()
    np.testing.assert_allclose(total / weight, loss, rtol=1e-5)


def test_gradients_of_the_tables_are_rows_of_the_sampled_words(config, network):
    objective, batch = create_objective(config, SENTIMENTS), batch_of(make_reviews(1))
    with tf.GradientTape() as tape:
        loss = objective.sums(network, batch, key(1), None).losses
    variables = [layer.embeddings.value for layer in network_tables(network)]
    for gradient in tape.gradient(loss, variables):
        assert isinstance(gradient, tf.IndexedSlices)
        assert gradient.indices.dtype == tf.int32


def test_distant_words_join_in_their_epoch_and_leave_their_head_alone_before(config):
    config.objective.terms.distant = 2.0
    config.objective.terms_after_epochs = 1
    reviews = make_reviews(13)
    objective = create_objective(config, SENTIMENTS)
    assert objective.at_epoch(1) is objective
    first = objective.network(config, VOCABULARY)
    for epoch, is_same in ((0, True), (1, False)):
        result, state = trained(config, 1, reviews, epoch)
        # The loss, and its terms if there are several.
        assert result.metrics.shape[1] == (1 if is_same else 3)
        heads = (state.model.distant_projection, first.distant_projection)
        for layer, fresh in zip(*heads, strict=True):
            assert np.array_equal(layer.get_weights()[0], fresh.get_weights()[0]) == is_same


def test_batch_without_a_word_to_predict_changes_nothing(config):
    reviews = make_reviews(64)
    single = reviews.take(np.zeros(16, int)).shortened(1, "head")
    result, state = trained(config, 1, single)
    assert result.metrics.numpy().tolist() == [[[0.0, 0.0]]]
    assert result.gradient_norm.numpy() == [0.0]
    fresh = create_objective(config, SENTIMENTS).network(config, VOCABULARY)
    for weight, first in zip(state.model.weights, fresh.weights, strict=True):
        np.testing.assert_array_equal(weight, first)
