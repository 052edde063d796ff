"""The loss terms beside the classification, each against its formula."""

import ml_collections
import numpy as np
import pytest
import tensorflow as tf

from configs.schema.combinations import UNLABELLED_TERMS
from input_pipeline.labels import NO_LABEL, SENTIMENTS, Labels
from input_pipeline.pipeline import Batch
from trainer.learning.objectives.adversarial import Adversarial
from trainer.learning.objectives.entropy import Entropy
from trainer.learning.objectives.perturbation import along, perturbed
from trainer.learning.objectives.registry import TERMS, create_objective
from trainer.learning.objectives.virtual_adversarial import VirtualAdversarial
from trainer.model.dropout import DropoutKey, gaussian, step_bits

ROWS, TIME, NORM = 6, 9, 2.0
LENGTHS = np.array([9, 4, 7, 1, 9, 5])
# The fourth has no label, and the last row no review.
BATCH = Batch(
    tokens=tf.constant(
        np.where(np.arange(TIME) < LENGTHS[:, None], 2 + np.arange(54).reshape(6, 9), 0)
    ),
    lengths=tf.constant(LENGTHS, tf.int32),
    labels=tf.constant([1, 0, 1, NO_LABEL, 0, 0]),
    weights=tf.constant([1.0, 1.0, 1.0, 1.0, 1.0, 0.0]),
)
KEY = DropoutKey(step_bits(0, tf.constant(3, tf.int64)), tf.range(ROWS))
LABELS = {"two labels": SENTIMENTS, "three labels": Labels(("bad", "fair", "good"))}


@pytest.fixture(params=LABELS)
def objective(request, config):
    return create_objective(config, LABELS[request.param])


@pytest.fixture
def network(config, objective):
    config.model.update(embedding_size=8, layer_sizes=(5,), dropout=0.3, pooling="max")
    network = objective.network(config, vocabulary_size=60)
    network.embedding.embeddings.assign(np.random.default_rng(0).normal(0.5, 1.0, [60, 8]))
    network.head.kernel.assign(3.0 * network.head.kernel)
    return network


def logits_of(network, inputs):
    return network.logits(inputs, BATCH.lengths, KEY)


def log_probabilities(logits):
    logits = logits.numpy().astype(np.float64)
    if logits.ndim == 1:
        logits = np.stack([np.zeros_like(logits), logits], axis=1)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def deviations(network):
    """The deviation of each dimension of the embedding over the words of the batch."""
    words = network.embed(BATCH.tokens).numpy()[np.arange(TIME) < LENGTHS[:, None]]
    return words.std(axis=0)


def random_perturbation(network, inputs, norm=NORM):
    return along(gaussian(KEY, tf.constant(TIME), 8), inputs.embedded, BATCH, norm)


def test_perturbation_has_the_norm_in_deviations_and_spares_the_padding(network):
    inputs = network.inputs(BATCH.tokens)
    moved = random_perturbation(network, inputs).numpy()
    norms = np.linalg.norm((moved / deviations(network)).reshape(ROWS, -1), axis=1)
    np.testing.assert_allclose(norms, NORM, rtol=1e-5)
    assert not moved[np.arange(TIME) >= LENGTHS[:, None]].any()
    np.testing.assert_allclose(perturbed(inputs, moved).embedded, inputs.embedded + moved)


def test_perturbation_follows_the_gradient_of_the_normalised_embedding(network):
    inputs = network.inputs(BATCH.tokens)
    gradient = (
        np.random.default_rng(1).normal(size=[ROWS, TIME, 8]) * 1e-25
    )  # as deep networks have
    moved = along(tf.constant(gradient, tf.float32), inputs.embedded, BATCH, NORM).numpy()
    expected = gradient * deviations(network) * (np.arange(TIME) < LENGTHS[:, None])[..., None]
    expected *= NORM / np.linalg.norm(expected.reshape(ROWS, -1), axis=1)[:, None, None]
    np.testing.assert_allclose(moved / deviations(network), expected, rtol=1e-3, atol=1e-6)


def test_no_gradient_gives_no_perturbation(network):
    inputs = network.inputs(BATCH.tokens)
    assert not along(tf.zeros([ROWS, TIME, 8]), inputs.embedded, BATCH, NORM).numpy().any()


def test_adversarial_loss_is_that_of_the_labelled_reviews_when_perturbed(objective, network):
    term = Adversarial(objective.loss, NORM)
    frozen = term.frozen(network, BATCH, KEY)
    inputs = network.inputs(BATCH.tokens)
    logits = logits_of(network, perturbed(inputs, term.shift(frozen)))
    found = term.loss(logits, BATCH, frozen)
    logarithms = log_probabilities(logits)
    expected = -sum(logarithms[row, label] for row, label in ((0, 1), (1, 0), (2, 1), (4, 0)))
    assert float(found) == pytest.approx(expected, rel=1e-5)
    assert float(term.weight(BATCH)) == 4
    assert not frozen[3].numpy().any()


def test_adversarial_perturbation_raises_the_loss_more_than_a_random_one(objective, network):
    term, inputs = Adversarial(objective.loss, 0.1), network.inputs(BATCH.tokens)
    worst = perturbed(inputs, term.frozen(network, BATCH, KEY))
    other = perturbed(inputs, random_perturbation(network, inputs, norm=0.1))
    plain, random, adversarial = (
        float(objective.loss(logits_of(network, inputs), BATCH)[0])
        for inputs in (inputs, other, worst)
    )
    assert adversarial - plain > 3 * abs(random - plain) > 0


def test_virtual_adversarial_loss_is_the_divergence_of_all_reviews(network):
    term = VirtualAdversarial(NORM)
    frozen = term.frozen(network, BATCH, KEY)
    inputs = network.inputs(BATCH.tokens)
    logits = logits_of(network, perturbed(inputs, term.shift(frozen)))
    found = term.loss(logits, BATCH, frozen)
    p, q = log_probabilities(logits_of(network, inputs)), log_probabilities(logits)
    assert float(found) == pytest.approx((np.exp(p) * (p - q))[:5].sum(), rel=1e-4)
    assert float(term.weight(BATCH)) == 5


def test_virtual_adversarial_perturbation_changes_more_than_a_random_one(network):
    term, inputs = VirtualAdversarial(0.3), network.inputs(BATCH.tokens)
    frozen = term.frozen(network, BATCH, KEY)
    random = random_perturbation(network, inputs, norm=0.3)
    worst, other = (
        float(term.loss(logits_of(network, perturbed(inputs, shift)), BATCH, frozen))
        for shift in (term.shift(frozen), random)
    )
    assert worst > 2 * other > 0


def test_entropy_is_that_of_the_predictions(network):
    logits = logits_of(network, network.inputs(BATCH.tokens))
    found = Entropy().loss(logits, BATCH, None)
    logarithms = log_probabilities(logits)
    assert float(found) == pytest.approx(-(np.exp(logarithms) * logarithms)[:5].sum(), rel=1e-5)


def test_sums_are_those_of_the_terms_each_by_itself(config):
    config.objective.update(perturbation=NORM)
    config.objective.terms.update(adversarial=1.0, virtual_adversarial=1.0, entropy=1.0)
    config.model.update(dropout=0.3, bidirectional=True, wide_buckets=64)
    objective = create_objective(config, SENTIMENTS)
    network = objective.network(config, vocabulary_size=60)
    inputs = network.inputs(BATCH.tokens, KEY)
    adversarial, virtual, entropy = (
        Adversarial(objective.loss, NORM),
        VirtualAdversarial(NORM),
        Entropy(),
    )
    expected = [objective.loss(logits_of(network, inputs), BATCH)[0]]
    for term in (adversarial, virtual, entropy):
        frozen = term.frozen(network, BATCH, KEY)
        shift = term.shift(frozen)
        moved = inputs if shift is None else perturbed(inputs, shift)
        expected.append(term.loss(logits_of(network, moved), BATCH, frozen))
    frozen = objective.frozen(network, BATCH, KEY)
    found = objective.sums(network, BATCH, KEY, frozen).losses
    np.testing.assert_allclose(found, tf.stack(expected), rtol=1e-4, atol=1e-7)


def test_reviews_without_a_label_count_in_their_terms_only(config):
    config.objective.terms = ml_collections.ConfigDict(
        {"adversarial": 0.5, "virtual_adversarial": 0.0, "entropy": 2.0}
    )
    objective = create_objective(config, SENTIMENTS)
    assert objective.terms == {"classification": 1.0, "adversarial": 0.5, "entropy": 2.0}
    assert objective.weights(BATCH).numpy().tolist() == [4.0, 4.0, 5.0]


def test_terms_join_after_their_first_epochs(config):
    config.objective.terms.entropy = 1.0
    config.objective.terms_after_epochs = 2
    objective = create_objective(config, SENTIMENTS)
    assert [set(objective.at_epoch(epoch).terms) for epoch in range(4)] == [
        *([{"classification"}] * 2),
        *([{"classification", "entropy"}] * 2),
    ]
    assert objective.at_epoch(0) is objective.at_epoch(1)
    assert objective.at_epoch(0).labelled_only and not objective.labelled_only


@pytest.mark.parametrize("name", TERMS)
def test_rules_of_configs_know_which_terms_need_no_label(config, name):
    config.objective.terms[name] = 1.0
    objective = create_objective(config, SENTIMENTS)
    assert objective.labelled_only == (name not in UNLABELLED_TERMS)


def test_noise_is_normal_and_does_not_depend_on_the_width_of_the_batch():
    key = DropoutKey(KEY.bits, tf.range(40))
    noise = gaussian(key, tf.constant(50), 16).numpy()
    assert abs(noise.mean()) < 0.02
    assert noise.std() == pytest.approx(1.0, abs=0.02)
    assert (noise > 1.96).mean() == pytest.approx(0.025, abs=0.004)
    np.testing.assert_array_equal(gaussian(key, tf.constant(20), 16), noise[:, :20])
