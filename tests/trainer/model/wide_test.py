"""Run with `python -m pytest tests/trainer/model/wide_test.py`."""

import numpy as np
import pytest
import tensorflow as tf

from input_pipeline import vocabulary
from trainer.model.wide import FIRST_KNOWN, Wide

BUCKETS = 2**16  # so many that a few n-grams share none
A, B, C = 7, 8, 9
UNKNOWN, PAD = vocabulary.UNKNOWN, vocabulary.PADDING


@pytest.fixture
def wide(config):
    def create(longest, outputs=1, buckets=BUCKETS):
        config.model.update(wide_buckets=buckets, wide_ngrams=longest)
        made = Wide(config.model, outputs)
        random = np.random.default_rng(0)
        made.layer.embeddings.assign(random.normal(size=made.ratios.shape))
        made.ratios.assign(random.normal(size=made.ratios.shape))
        return made

    return create


def total(wide, *rows):
    """What each review adds to the logits <float32>[reviews, outputs]."""
    return tf.reduce_sum(wide(tf.constant(rows)), axis=1).numpy()


def test_review_adds_up_its_words_and_phrases(wide):
    model = wide(longest=2)
    ab, a, b = total(model, (A, B), (A, PAD), (B, PAD))
    pair = ab - a - b
    assert np.abs([a, b, pair]).min() > 1e-3
    abc, bc = total(model, (A, B, C), (B, C, PAD))
    np.testing.assert_allclose(abc, a + pair + bc, rtol=1e-5)


@pytest.mark.parametrize("longest", [1, 2, 3, 5])
def test_number_of_n_grams_is_that_of_their_lengths(wide, longest):
    _, counted = wide(longest).n_grams(tf.constant([[2, 3, 4, 5, PAD]]))
    assert tf.reduce_sum(tf.cast(counted, tf.int32)) == sum(max(4 - n, 0) for n in range(longest))


def test_order_of_a_phrase_matters(wide):
    model = wide(longest=2)
    ab, ba = total(model, (A, B), (B, A))
    assert abs(ab - ba) > 1e-3


def test_what_occurs_twice_counts_once(wide):
    for longest in (1, 2):
        model = wide(longest)
        once, twice = total(model, (A, B, C, A, B, PAD), (A, B, C, A, B, C))
        more, most = total(model, (A, A, A, PAD), (A, A, A, A))
        if longest == 1:
            np.testing.assert_allclose(once, twice, rtol=1e-6)
        np.testing.assert_allclose(more, most, rtol=1e-6)


def test_neither_padding_nor_unknown_words_count(wide):
    model = wide(longest=3)
    narrow, wider, nothing = total(
        model, (A, B, PAD, PAD, PAD), (A, UNKNOWN, B, PAD, PAD), (UNKNOWN,) * 5
    )
    a, b = total(model, (A,), (B,))
    np.testing.assert_allclose(wider, a + b, rtol=1e-5)
    assert nothing == 0
    assert min(FIRST_KNOWN, A) > max(UNKNOWN, PAD)
    assert len(vocabulary.FIRST_TOKENS) == FIRST_KNOWN
    np.testing.assert_allclose(narrow, total(model, (A, B))[0], rtol=1e-6)


def test_each_output_has_weights_of_its_own(wide):
    model = wide(longest=2, outputs=3)
    (logits,) = total(model, (A, B, C))
    assert logits.shape == (3,)
    assert len(set(logits.tolist())) == 3


def test_buckets_are_all_used(wide):
    buckets, _ = wide(longest=1, buckets=64).n_grams(tf.range(2, 1002)[tf.newaxis])
    counts = np.bincount(buckets.numpy().ravel(), minlength=64)
    assert counts.min() > 3 and counts.max() < 35


@pytest.mark.parametrize("jit", [False, True])
def test_compiled_form_is_the_same(wide, jit):
    model = wide(longest=2)
    tokens = tf.constant(np.random.default_rng(1).integers(0, 9, (4, 30)).astype(np.int32))
    compiled = tf.function(model, jit_compile=jit, autograph=False)(tokens)
    np.testing.assert_allclose(compiled, model(tokens), rtol=1e-6)
