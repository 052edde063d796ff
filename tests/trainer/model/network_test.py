import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.trainer.model.lstm_examples import states_by_equations
from tests.trainer.model.pooling_test import weights_of
from trainer.model.dropout import DropoutKey, step_bits, weight_mask, with_unknown, word_mask
from trainer.model.kernels import KERNELS
from trainer.model.network import Classifier, Inputs, initial_seeds

VOCABULARY = 50
KEY = DropoutKey(step_bits(0, tf.constant(1, tf.int64)), tf.range(5))


@pytest.fixture
def reviews():
    """Ids <int32>[5, 12], padded with 0, and lengths <int32>[5]."""
    lengths = np.array([12, 1, 7, 3, 5], np.int32)
    tokens = np.random.default_rng(0).integers(1, VOCABULARY, (5, 12)).astype(np.int32)
    tokens[np.arange(12) >= lengths[:, None]] = 0
    return tokens, lengths


def create(config, seed=0, vocabulary_size=VOCABULARY, kernel="keras", labels=2):
    return Classifier(config.model, vocabulary_size, labels, seed, KERNELS[kernel])


def logits_of(network, tokens, lengths, dropout=None):
    return network.logits(network.inputs(tokens), lengths, dropout)


def states_of(layer, inputs):
    """States <float64>[time, units] of one review [time, inputs]."""
    return states_by_equations(layer.get_weights(), inputs[None])[0][0]


def reference_logit(network, tokens, pooling):
    """The logit of one review, computed plainly in float64."""
    states = np.float64(network.embedding.get_weights()[0])[tokens]
    for layer, forward in enumerate(network.forward):
        outputs = states_of(forward, states)
        last = outputs[-1]
        if network.backward:
            reverse = states_of(network.backward[layer], states[::-1])
            last = np.concatenate([last, reverse[-1]])
            outputs = np.concatenate([outputs, reverse[::-1]], axis=-1)
        states = outputs
    parts = {"last": last, "max": states.max(axis=0), "mean": states.mean(axis=0)}
    if pooling == "attention":
        parts["attention"] = weights_of(network.attention, states) @ states
    names = ("last", "max", "mean") if pooling == "concat" else (pooling,)
    kernel, bias = network.head.get_weights()
    return (np.concatenate([parts[name] for name in names]) @ kernel + bias)[0]


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pooling", ["last", "max", "mean", "concat", "attention"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_logits_are_those_of_the_equations(config, reviews, kernel, pooling, bidirectional):
    config.model.update(pooling=pooling, bidirectional=bidirectional, layer_sizes=(8, 4))
    network = create(config, seed=1, kernel=kernel)
    expected = [
        reference_logit(network, row[:length], pooling)
        for row, length in zip(*reviews, strict=True)
    ]
    np.testing.assert_allclose(logits_of(network, *reviews), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pooling", ["last", "max", "mean", "concat"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_logit_does_not_depend_on_the_width(config, reviews, kernel, pooling, bidirectional):
    config.model.update(pooling=pooling, bidirectional=bidirectional)
    network = create(config, seed=1, kernel=kernel)
    tokens, lengths = reviews
    narrow = logits_of(network, tokens, lengths).numpy()
    for width in (13, 20, 48):
        wide = np.zeros((5, width), np.int32)
        wide[:, :12] = tokens
        np.testing.assert_allclose(logits_of(network, wide, lengths), narrow, rtol=0, atol=1e-7)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_gradients_do_not_depend_on_the_kernel(config, reviews, bidirectional):
    config.model.update(pooling="concat", bidirectional=bidirectional, dropout=0.3)
    found = {}
    for kernel in KERNELS:
        network = create(config, seed=1, kernel=kernel)
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(logits_of(network, *reviews, KEY))
        found[kernel] = [
            tf.convert_to_tensor(gradient) for gradient in tape.gradient(total, network.weights)
        ]
    for gradients in found.values():
        for gradient, expected in zip(gradients, found["keras"], strict=True):
            np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("sizes", [(4,), (6, 5, 4)])
def test_network_has_a_layer_for_each_size(config, reviews, sizes):
    config.model.layer_sizes = sizes
    network = create(config)
    inputs = (config.model.embedding_size, *sizes[:-1])
    shapes = [tuple(w.shape) for w in network.weights[1:-2]]
    expected = [
        shape
        for size, n in zip(sizes, inputs, strict=True)
        for shape in ((n, 4 * size), (size, 4 * size), (4 * size,))
    ]
    assert shapes == expected
    assert logits_of(network, *reviews).shape == (5,)


def test_number_of_weights_is_that_of_the_tutorial(config):
    config.model.update(embedding_size=128, layer_sizes=(128, 64))
    network = create(config, vocabulary_size=20_000)
    tutorial = keras.Sequential(
        [
            keras.layers.Embedding(20_000, 128),
            keras.layers.LSTM(128, return_sequences=True),
            keras.layers.LSTM(64),
            keras.layers.Dense(1),
        ]
    )
    tutorial.build((None, None))
    assert sum(np.prod(w.shape) for w in network.weights) == tutorial.count_params()


def test_seed_decides_the_weights(config):
    def weights(seed):
        return [w.numpy() for w in create(config, seed).weights]

    assert all((a == b).all() for a, b in zip(weights(1), weights(1), strict=True))
    assert not (weights(1)[0] == weights(2)[0]).any()
    assert weights(2**31 - 1)


def test_all_tokens_of_a_review_have_one_dropout_mask(config, reviews):
    config.model.update(dropout=0.5, pooling="mean", layer_sizes=(64,))
    network = create(config)
    tokens, lengths = reviews
    dropped = logits_of(network, tokens, lengths, KEY)
    assert not np.allclose(dropped, logits_of(network, tokens, lengths))
    np.testing.assert_array_equal(dropped, logits_of(network, tokens, lengths, KEY))
    wide = np.pad(tokens, [(0, 0), (0, 9)])
    np.testing.assert_allclose(logits_of(network, wide, lengths, KEY), dropped, atol=1e-7)


def test_words_become_unknown_in_training_but_not_for_the_wide_part(config, reviews):
    config.model.update(word_dropout=0.5, wide_buckets=64)
    network = create(config)
    tokens, _ = reviews
    found, plain = network.inputs(tokens, KEY), network.inputs(tokens)
    np.testing.assert_array_equal(found.wide, plain.wide)
    expected = network.inputs(with_unknown(KEY, tokens, 0.5)).embedded
    np.testing.assert_array_equal(found.embedded, expected)
    assert not np.array_equal(found.embedded, plain.embedded)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_embeddings_of_words_are_dropped_in_training(config, reviews, precision):
    config.model.update(embedding_dropout=0.5, precision=precision)
    network = create(config)
    tokens, _ = reviews
    found, plain = network.embed(tokens, KEY), network.embed(tokens)
    np.testing.assert_array_equal(found, plain * word_mask(KEY, tokens, 0.5).numpy()[:, :, None])
    assert found.dtype == plain.dtype
    assert not np.array_equal(found, plain)


def test_masks_that_are_off_leave_the_bits(config, reviews):
    config.model.dropout = 0.0
    network = create(config)
    np.testing.assert_array_equal(network.embed(reviews[0], KEY), network.embed(reviews[0]))
    expected = logits_of(network, *reviews)
    np.testing.assert_array_equal(logits_of(network, *reviews, KEY), expected)


@pytest.mark.parametrize("kernel", KERNELS)
def test_recurrent_weights_are_dropped_in_training(config, reviews, kernel):
    """As in a network that has the masked weights, whose gradients are then masked too."""
    config.model.update(bidirectional=True, dropout=0.0, recurrent_dropout=0.5, pooling="concat")
    network, masked = create(config, kernel=kernel), create(config, kernel=kernel)
    numbers = [*range(0, 4, 2), *range(1, 4, 2)]  # forward and backward layers
    factors = []
    for number, layer in zip(numbers, [*masked.forward, *masked.backward], strict=True):
        weights = layer.cell.recurrent_kernel
        factors.append(weight_mask(KEY, number, weights.shape, 0.5).numpy())
        weights.assign(weights * factors[-1])
    with tf.GradientTape() as tape:
        logits = logits_of(network, *reviews, KEY)
    gradients = tape.gradient(logits, network.weights)
    with tf.GradientTape() as tape:
        expected = logits_of(masked, *reviews)
    expected_gradients = tape.gradient(expected, masked.weights)
    np.testing.assert_allclose(logits, expected, rtol=1e-6)
    assert not np.allclose(expected, logits_of(network, *reviews), rtol=1e-3)
    recurrent = range(2, 2 + 3 * len(factors), 3)  # behind the embedding and each layer's kernel
    scales = dict(zip(recurrent, factors, strict=True))
    for place, (gradient, wanted) in enumerate(zip(gradients, expected_gradients, strict=True)):
        wanted = tf.convert_to_tensor(wanted) * scales.get(place, 1.0)
        np.testing.assert_allclose(tf.convert_to_tensor(gradient), wanted, rtol=1e-5, atol=1e-7)


def test_pooling_leaves_the_other_weights(config):
    """The seeds of what came later are behind those of the rest."""
    assert list(initial_seeds(0, 9))[:7] == list(initial_seeds(0, 7))
    expected = create(config).weights[:-2]
    config.model.pooling = "attention"
    for found, wanted in zip(create(config).weights, expected, strict=False):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_mixed_precision_keeps_float32_weights_and_logits(config, reviews, kernel, precision):
    expected = logits_of(create(config), *reviews)
    config.model.precision = precision
    mixed = create(config, kernel=kernel)
    assert {w.dtype for w in mixed.weights} == {tf.float32}
    logits = logits_of(mixed, *reviews)
    assert logits.dtype == tf.float32
    np.testing.assert_allclose(logits, expected, atol=2e-2)
    assert not np.array_equal(logits, expected)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_precomputed_embedding_has_the_logits_of_its_ids(config, reviews, bidirectional, kernel):
    config.model.update(pooling="concat", bidirectional=bidirectional)
    network = create(config, kernel=kernel)
    tokens, lengths = reviews
    embedded = tf.constant(network.embedding.get_weights()[0][tokens])
    logits = network.logits(Inputs(embedded), lengths)
    np.testing.assert_array_equal(logits, logits_of(network, tokens, lengths))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_gradients_reach_a_precomputed_embedding(config, reviews, bidirectional, kernel):
    config.model.update(pooling="concat", bidirectional=bidirectional)
    network = create(config, kernel=kernel)
    tokens, lengths = reviews
    embedded = network.embed(tokens)
    with tf.GradientTape() as tape:
        tape.watch(embedded)
        total = tf.reduce_sum(network.logits(Inputs(embedded), lengths))
    norms = np.linalg.norm(tape.gradient(total, embedded), axis=-1)
    is_token = np.arange(12) < lengths[:, None]
    assert (norms[is_token] > 0).all()
    assert (norms[~is_token] == 0).all()


@pytest.mark.parametrize("bidirectional", [False, True])
def test_perturbed_embedding_changes_the_logits_unless_it_is_padding(
    config, reviews, bidirectional
):
    config.model.update(pooling="concat", bidirectional=bidirectional)
    network = create(config)
    tokens, lengths = reviews
    embedded, logits = network.embed(tokens), logits_of(network, tokens, lengths)
    is_token = np.float32(np.arange(12) < lengths[:, None])[:, :, None]
    perturbed = network.logits(Inputs(embedded + 0.1 * is_token), lengths)
    assert (np.abs(perturbed - logits) > 1e-5).all()
    padded = network.logits(Inputs(embedded + 0.1 * (1 - is_token)), lengths)
    np.testing.assert_array_equal(padded, logits)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_depths_count_the_layers_between_a_weight_and_the_head(config, bidirectional):
    config.model.update(bidirectional=bidirectional, layer_sizes=(8, 4, 2), wide_buckets=16)
    network = create(config)
    of_a_layer = [depth for depth in (3, 2, 1) for _ in range(3)]  # kernels and bias
    expected = [4, *of_a_layer * (2 if bidirectional else 1), 0, 0, 0]
    assert network.depths == expected
    assert len(network.weights) == len(expected)
