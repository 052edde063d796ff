"""Run with `python -m pytest tests/trainer/model/segments_test.py`."""

import numpy as np
import pytest
import tensorflow as tf

from tests.trainer.model.lstm_examples import states_by_equations
from trainer.model.kernels import KERNELS
from trainer.model.network import Classifier
from trainer.model.segments import Segments

# Tokens of a segment and of the overlap: less and more than half, none, all but one, one token.
SIZES = [(5, 2), (5, 3), (4, 0), (4, 3), (6, 3), (1, 0)]
TIMES = (1, 3, 4, 5, 6, 9, 17)


def starts(time, tokens, overlap):
    """Where the segments of a row begin."""
    found = [0]
    while found[-1] + tokens < time:
        found.append(found[-1] + tokens - overlap)
    return found


def first_segment(place, time, tokens, overlap):
    """Where the first segment that holds a token begins."""
    return next(start for start in starts(time, tokens, overlap) if place < start + tokens)


def tokens_read(segments, values):
    """The number of tokens that a layer has read at each token [batch, time, 1]."""
    counts = tf.cumsum(tf.ones_like(segments.split(values)), axis=1)
    return segments.joined(counts, tf.shape(values)[1])


@pytest.mark.parametrize(("tokens", "overlap"), SIZES)
def test_row_is_cut_into_its_segments_and_joined(tokens, overlap):
    segments = Segments(tokens, overlap)
    for time in TIMES:
        values = np.random.default_rng(0).normal(size=(3, time, 2)).astype(np.float32)
        parts = segments.split(values)
        begins, length = starts(time, tokens, overlap), min(tokens, time)
        padded = np.pad(values, [(0, 0), (0, tokens), (0, 0)], mode="edge")
        expected = [row[begin : begin + length] for row in padded for begin in begins]
        np.testing.assert_array_equal(parts, expected)
        assert segments.slots(time) == len(begins) * length
        np.testing.assert_array_equal(segments.joined(parts, time), values)


@pytest.mark.parametrize(("tokens", "overlap"), SIZES)
def test_state_is_that_of_the_segment_with_most_tokens_before_it(tokens, overlap):
    for time in TIMES:
        read = tokens_read(Segments(tokens, overlap), tf.zeros([2, time, 1]))
        places = range(time)
        expected = [p + 1 - first_segment(p, time, tokens, overlap) for p in places]
        np.testing.assert_array_equal(read, [np.reshape(expected, [time, 1])] * 2)
        assert all(count > min(p, overlap) for p, count in zip(places, expected, strict=True))


@pytest.mark.parametrize("jit", [False, True])
def test_traced_form_and_its_gradients_are_the_same(jit):
    segments = Segments(5, 2)
    # XLA knows the shapes; elsewhere a graph serves all of them.
    signature = None if jit else [tf.TensorSpec([None, None, 2])] * 2

    @tf.function(input_signature=signature, jit_compile=jit, autograph=False)
    def gradient(values, factors):
        with tf.GradientTape() as tape:
            tape.watch(values)
            joined = segments.joined(segments.split(values) ** 2, tf.shape(values)[1])
            total = tf.reduce_sum(joined * factors)
        return joined, tape.gradient(total, values)

    for time in TIMES[::3]:
        values, factors = np.random.default_rng(0).normal(size=(2, 3, time, 2)).astype(np.float32)
        joined, slopes = gradient(tf.constant(values), tf.constant(factors))
        np.testing.assert_allclose(joined, values**2, rtol=1e-6)
        np.testing.assert_allclose(slopes, 2 * values * factors, rtol=1e-6)


@pytest.fixture
def reviews():
    """Ids <int32>[5, 12], padded with 0, and lengths <int32>[5]."""
    lengths = np.array([12, 1, 7, 3, 5], np.int32)
    tokens = np.random.default_rng(0).integers(1, 50, (5, 12)).astype(np.int32)
    tokens[np.arange(12) >= lengths[:, None]] = 0
    return tokens, lengths


def network_of(config, kernel="cpu", **fields):
    config.model.update(bidirectional=True, layer_sizes=(8, 4), pooling="concat", **fields)
    return Classifier(config.model, 50, 2, 1, KERNELS[kernel])


def logits_of(network, tokens, lengths):
    return network.logits(network.inputs(tokens), lengths)


def states_in_segments(weights, inputs, tokens, overlap):
    """States <float64>[time, units] of one review [time, width], read in segments."""
    time = len(inputs)
    states = {
        begin: states_by_equations(weights, inputs[None, begin : begin + tokens])[0][0]
        for begin in starts(time, tokens, overlap)
    }
    begins = [first_segment(place, time, tokens, overlap) for place in range(time)]
    return np.array([states[begin][place - begin] for place, begin in enumerate(begins)])


def reference_logit(network, review, tokens, overlap):
    """The logit of one review, in both directions, computed plainly in float64."""
    states = np.float64(network.embedding.get_weights()[0])[review]
    for layers in zip(network.forward, network.backward, strict=True):
        forward, backward = (layer.get_weights() for layer in layers)
        there = states_in_segments(forward, states, tokens, overlap)
        back = states_in_segments(backward, states[::-1], tokens, overlap)
        end = np.concatenate([there[-1], back[-1]])
        states = np.concatenate([there, back[::-1]], axis=1)
    kernel, bias = network.head.get_weights()
    return (np.concatenate([end, states.max(axis=0), states.mean(axis=0)]) @ kernel + bias)[0]


@pytest.mark.parametrize("kernel", KERNELS)
def test_logits_are_those_of_the_segments_whatever_the_width(config, reviews, kernel):
    network = network_of(config, kernel, segment_tokens=5, segment_overlap=2)
    tokens, lengths = reviews
    expected = [
        reference_logit(network, row[:length], 5, 2) for row, length in zip(*reviews, strict=True)
    ]
    for wider in (0, 1, 9):
        logits = logits_of(network, np.pad(tokens, [(0, 0), (0, wider)]), lengths)
        np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)
    without = logits_of(network_of(config, kernel, segment_tokens=0), *reviews)
    assert np.abs(without - expected)[0] > 1e-6  # the longest


def test_batch_no_wider_than_a_segment_has_the_same_bits(config, reviews):
    expected = logits_of(network_of(config), *reviews)
    for tokens, overlap in ((12, 11), (40, 0), (40, 20)):
        network = network_of(config, segment_tokens=tokens, segment_overlap=overlap)
        np.testing.assert_array_equal(logits_of(network, *reviews), expected)
