import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.model.dropout import DropoutKey
from trainer.model.network import StackedLSTM

VOCABULARY = 50


@pytest.fixture
def reviews():
    """Ids <int32>[5, 12] with lengths <int32>[5], zeros behind them."""
    lengths = np.array([12, 1, 7, 3, 5], np.int32)
    tokens = np.random.default_rng(0).integers(1, VOCABULARY, (5, 12)).astype(np.int32)
    tokens[np.arange(12) >= lengths[:, None]] = 0
    return tokens, lengths


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(weights, inputs):
    """States <float64>[time, units] of one review [time, inputs], straight from the equations of
    Gers, Schmidhuber and Cummins 2000 (an LSTM with a forget gate)."""
    kernel, recurrent, bias = (np.float64(w) for w in weights)
    units = recurrent.shape[0]
    hidden, cell, states = np.zeros(units), np.zeros(units), []
    for x in inputs:
        gates = x @ kernel + hidden @ recurrent + bias
        i, f, c, o = (gates[k * units : (k + 1) * units] for k in range(4))
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(c)
        hidden = sigmoid(o) * np.tanh(cell)
        states.append(hidden)
    return np.array(states)


def reference_logit(model, tokens, pooling):
    """The model of one review, written plainly."""
    states = np.float64(model.embedding.get_weights()[0])[tokens]
    for layer, forward in enumerate(model.forward):
        outputs = lstm(forward.get_weights(), states)
        last = outputs[-1]
        if model.backward:
            reverse = lstm(model.backward[layer].get_weights(), states[::-1])
            last = np.concatenate([last, reverse[-1]])
            outputs = np.concatenate([outputs, reverse[::-1]], axis=-1)
        states = outputs
    parts = {"last": last, "max": states.max(axis=0), "mean": states.mean(axis=0)}
    names = ("last", "max", "mean") if pooling == "concat" else (pooling,)
    kernel, bias = model.head.get_weights()
    return (np.concatenate([parts[name] for name in names]) @ kernel + bias)[0]


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pooling", ["last", "max", "mean", "concat"])
def test_is_the_lstm_of_the_equations(config, reviews, pooling, bidirectional):
    config.model.update(pooling=pooling, bidirectional=bidirectional, layer_sizes=(8, 4))
    model = StackedLSTM(config.model, VOCABULARY, seed=1)
    tokens, lengths = reviews
    expected = [reference_logit(model, row[:n], pooling) for row, n in zip(*reviews, strict=True)]
    np.testing.assert_allclose(model(tokens, lengths), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pooling", ["last", "max", "mean", "concat"])
def test_logit_does_not_depend_on_the_width(config, reviews, pooling, bidirectional):
    config.model.update(pooling=pooling, bidirectional=bidirectional)
    model = StackedLSTM(config.model, VOCABULARY, seed=1)
    tokens, lengths = reviews
    narrow = model(tokens, lengths).numpy()
    for width in (13, 20, 48):
        wide = np.zeros((5, width), np.int32)
        wide[:, :12] = tokens
        np.testing.assert_allclose(model(wide, lengths), narrow, rtol=0, atol=1e-7)


@pytest.mark.parametrize("sizes", [(4,), (6, 5, 4)])
def test_stack_has_a_layer_per_size(config, reviews, sizes):
    config.model.layer_sizes = sizes
    model = StackedLSTM(config.model, VOCABULARY, seed=0)
    inputs = (config.model.embedding_size, *sizes[:-1])
    shapes = [tuple(w.shape) for w in model.weights[1:-2]]
    expected = [
        shape
        for size, n in zip(sizes, inputs, strict=True)
        for shape in ((n, 4 * size), (size, 4 * size), (4 * size,))
    ]
    assert shapes == expected
    assert model(*reviews).shape == (5,)


def test_tutorial_network_has_its_number_of_weights(config):
    config.model.update(embedding_size=128, layer_sizes=(128, 64))
    model = StackedLSTM(config.model, 20_000, seed=0)
    tutorial = keras.Sequential(
        [
            keras.layers.Embedding(20_000, 128),
            keras.layers.LSTM(128, return_sequences=True),
            keras.layers.LSTM(64),
            keras.layers.Dense(1),
        ]
    )
    tutorial.build((None, None))
    assert sum(np.prod(w.shape) for w in model.weights) == tutorial.count_params()


def test_seed_decides_the_weights(config):
    def drawn(seed):
        return [w.numpy() for w in StackedLSTM(config.model, VOCABULARY, seed).weights]

    same = zip(drawn(1), drawn(1), strict=True)
    assert all((a == b).all() for a, b in same)
    assert not (drawn(1)[0] == drawn(2)[0]).any()
    assert drawn(2**31 - 1)


def test_dropout_is_one_mask_for_all_words_of_a_review(config, reviews):
    config.model.update(dropout=0.5, pooling="mean", layer_sizes=(64,))
    model = StackedLSTM(config.model, VOCABULARY, seed=0)
    tokens, lengths = reviews
    key = DropoutKey(0, tf.constant(1, tf.int64), tf.range(5))
    dropped = model(tokens, lengths, dropout=key)
    assert not np.allclose(dropped, model(tokens, lengths))
    np.testing.assert_array_equal(dropped, model(tokens, lengths, dropout=key))
    wide = np.pad(tokens, [(0, 0), (0, 9)])
    np.testing.assert_allclose(model(wide, lengths, dropout=key), dropped, atol=1e-7)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_keeps_float32_weights_and_logits(config, reviews, precision):
    model = StackedLSTM(config.model, VOCABULARY, seed=0)
    config.model.precision = precision
    mixed = StackedLSTM(config.model, VOCABULARY, seed=0)
    assert {w.dtype for w in mixed.weights} == {tf.float32}
    logits = mixed(*reviews)
    assert logits.dtype == tf.float32
    np.testing.assert_allclose(logits, model(*reviews), atol=2e-2)
    assert not np.array_equal(logits, model(*reviews))
