"""Run with `python -m pytest tests/trainer/model/language_model_test.py`."""

import numpy as np
import pytest
import tensorflow as tf

from tests.trainer.model.network_test import reviews, states_of  # noqa: F401
from trainer.model.dropout import DropoutKey, step_bits
from trainer.model.kernels import KERNELS
from trainer.model.language_model import LanguageModel

VOCABULARY = 50


def expected_features(network, direction, layers, tokens):
    """The features of one review in one direction, computed plainly in float64."""
    states = np.float64(network.embedding.get_weights()[0])[tokens]
    for layer in layers:
        states = states_of(layer, states)
    if network.projection:
        kernel, bias = network.projection[direction].get_weights()
        states = states @ kernel + bias
    return states[:-1]


@pytest.mark.parametrize("sizes", [(8,), (4,)])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_features_are_those_of_the_equations(config, reviews, bidirectional, sizes):  # noqa: F811
    tokens, lengths = reviews
    config.model.update(embedding_size=8, layer_sizes=sizes, bidirectional=bidirectional)
    network = LanguageModel(config.model, VOCABULARY, 1, KERNELS["cpu"])
    assert len(network.projection) == (0 if sizes == (8,) else 1 + bidirectional)
    found = network.predictions(tokens, lengths)
    places = tokens.shape[1] - 1
    for row, length in enumerate(lengths):
        last, review = length - 1, tokens[row, :length]
        expected = expected_features(network, 0, network.forward, review)
        np.testing.assert_allclose(found.features[row, :last], expected, atol=1e-6)
        assert found.words[row, :last].numpy().tolist() == review[1:].tolist()
        assert found.counted[row, :places].numpy().tolist() == [1] * last + [0] * (places - last)
        if bidirectional:
            expected = expected_features(network, 1, network.backward, review[::-1])[::-1]
            got = found.features[row, places : places + last]
            np.testing.assert_allclose(got, expected, atol=1e-6)
            assert found.words[row, places : places + last].numpy().tolist() == review[:-1].tolist()
            np.testing.assert_array_equal(found.counted[row, places:], found.counted[row, :places])


def test_two_layers_and_the_logits_of_some_words_are_those_of_all(config, reviews):  # noqa: F811
    tokens, lengths = reviews
    config.model.update(embedding_size=8, layer_sizes=(4, 6))
    network = LanguageModel(config.model, VOCABULARY, 1, KERNELS["cpu"])
    bias = np.random.default_rng(0).normal(size=(VOCABULARY, 1)).astype(np.float32)
    network.output_bias.set_weights([bias])
    found = network.predictions(tokens, lengths)
    features = expected_features(network, 0, network.forward, tokens[0])
    logits = features @ network.embedding.get_weights()[0].T + bias[:, 0]
    np.testing.assert_allclose(network.logits(found.features)[0], logits[:, 1:], atol=1e-5)
    some = network.logits_of(found.features, [7, 49, 1])
    np.testing.assert_allclose(some[0], logits[:, [7, 49, 1]], atol=1e-5)
    each = network.logit_of_each(found.features, found.words)
    np.testing.assert_allclose(each[0], logits[np.arange(11), tokens[0, 1:]], atol=1e-5)


def test_training_drops_words_that_are_read_and_none_that_are_predicted(config, reviews):  # noqa: F811
    tokens, lengths = reviews
    config.model.update(layer_sizes=(4,), dropout=0.0, word_dropout=0.999)
    network = LanguageModel(config.model, VOCABULARY, 1, KERNELS["cpu"])
    key = DropoutKey(step_bits(0, tf.constant(0, tf.int64)), tf.range(len(lengths)))
    found = network.predictions(tokens, lengths, key)
    unknown = network.predictions(np.where(tokens > 0, 1, 0).astype(np.int32), lengths)
    np.testing.assert_allclose(found.features[0], unknown.features[0], atol=1e-6)
    np.testing.assert_array_equal(found.words, tokens[:, 1:])
