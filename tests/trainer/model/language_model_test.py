"""Run with `python -m pytest tests/trainer/model/language_model_test.py`."""

import numpy as np
import pytest
import tensorflow as tf

from tests.trainer.model.network_test import KEY, reviews, states_of  # noqa: F401
from trainer.model.dropout import DropoutKey, step_bits, with_unknown
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


def next_words(network, tokens, lengths, dropout=None):
    return network.next_words(network.states(tokens, lengths, dropout), tokens, lengths)


@pytest.mark.parametrize("sizes", [(8,), (4,)])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_features_are_those_of_the_equations(config, reviews, bidirectional, sizes):  # noqa: F811
    tokens, lengths = reviews
    config.model.update(embedding_size=8, layer_sizes=sizes, bidirectional=bidirectional)
    network = LanguageModel(config.model, VOCABULARY, 1, KERNELS["cpu"])
    assert len(network.projection) == (0 if sizes == (8,) else 1 + bidirectional)
    found = next_words(network, tokens, lengths)
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
    found = next_words(network, tokens, lengths)
    features = expected_features(network, 0, network.forward, tokens[0])
    logits = features @ network.embedding.get_weights()[0].T + bias[:, 0]
    np.testing.assert_allclose(network.logits(found)[0], logits[:, 1:], atol=1e-5)
    some = network.logits_of(found, [7, 49, 1])
    np.testing.assert_allclose(some[0], logits[:, [7, 49, 1]], atol=1e-5)
    each = network.logits_of_words(found)
    np.testing.assert_allclose(each[0], logits[np.arange(11), tokens[0, 1:]], atol=1e-5)


def test_words_that_training_masks_are_still_predicted(config, reviews):  # noqa: F811
    tokens, lengths = reviews
    config.model.update(word_dropout=0.5, dropout=0.0)
    network = LanguageModel(config.model, VOCABULARY, 1, KERNELS["cpu"])
    found = next_words(network, tokens, lengths, KEY)
    read = next_words(network, with_unknown(KEY, tokens, 0.5), lengths)
    np.testing.assert_allclose(found.features, read.features, atol=1e-6)
    plain = next_words(network, tokens, lengths)
    np.testing.assert_array_equal(found.words, plain.words)
    assert not np.allclose(found.features, plain.features)


@pytest.mark.parametrize("distance", [1, 3, 100])
def test_distant_words_are_all_that_come_within_the_distance(config, reviews, distance):  # noqa: F811
    tokens, lengths = reviews
    config.model.update(layer_sizes=(4,), bidirectional=True)
    network = LanguageModel(config.model, VOCABULARY, 1, KERNELS["cpu"], distant=True)
    states = network.states(tokens, lengths)
    places = tokens.shape[1] - 1
    # A word says where it is.
    numbered = np.broadcast_to(np.arange(tokens.shape[1], dtype=np.int32), tokens.shape)
    seen = {(row, place): set() for row in range(len(tokens)) for place in range(2 * places)}
    for step in range(200):
        key = DropoutKey(step_bits(0, tf.constant(step, tf.int64)), tf.range(len(tokens)))
        found = network.distant_words(states, tf.constant(numbered), lengths, key, distance)
        words = found.words.numpy()
        for row, place in seen:
            seen[row, place].add(int(words[row, place]))
    for row, length in enumerate(lengths):
        for place in range(length - 1):
            ahead = range(place + 1, min(place + 1 + distance, length))
            back = range(max(0, place + 1 - distance), place + 1)
            assert seen[row, place] == set(ahead)
            assert seen[row, places + place] == set(back)


def test_tables_of_a_number_for_each_word_are_biases(config):
    config.model.update(embedding_size=8, layer_sizes=(4,))
    network = LanguageModel(config.model, VOCABULARY, 1, KERNELS["cpu"], distant=True)
    layer, projection = [False, False, True], [False, True]
    assert network.biases == [False, *layer, *projection, True, *projection, True]
