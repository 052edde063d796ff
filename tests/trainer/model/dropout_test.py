import numpy as np
import pytest
import tensorflow as tf

from input_pipeline import vocabulary
from trainer.model import dropout
from trainer.model.dropout import (
    DropoutKey,
    drawn_number,
    mask,
    step_bits,
    weight_mask,
    with_unknown,
    word_mask,
)

KEY = DropoutKey(step_bits(0, tf.constant(3, tf.int64)), tf.range(64))
LATER = DropoutKey(KEY.bits, KEY.rows[32:])  # the second half of the same rows
OTHER_STEP = DropoutKey(step_bits(0, tf.constant(4, tf.int64)), KEY.rows)


def masks(seed=0, step=3, rows=range(64), layer=1, units=128, rate=0.25):
    return mask(
        DropoutKey(step_bits(seed, tf.constant(step, tf.int64)), tf.range(64)), layer, units, rate
    ).numpy()[list(rows)]


def test_fraction_rate_is_dropped_and_the_rest_scaled():
    values = masks()
    assert set(np.unique(values)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs((values == 0).mean() - 0.25) < 0.02


def test_seed_step_and_layer_decide_the_mask():
    here = masks()
    assert (here == masks()).all()
    for other in (masks(seed=1), masks(step=4), masks(layer=2)):
        # The fraction in which independent masks agree is 0.25² + 0.75².
        assert abs((here == other).mean() - 0.625) < 0.02


def test_neighbouring_rows_and_units_are_independent():
    kept = masks(units=256, rate=0.5) > 0
    for a, b in ((kept[:-1], kept[1:]), (kept[:, :-1], kept[:, 1:])):
        assert abs((a == b).mean() - 0.5) < 0.02
    assert np.abs(kept.mean(axis=0) - 0.5).max() < 0.3
    assert np.abs(kept.mean(axis=1) - 0.5).max() < 0.15


def test_mask_depends_on_the_row_of_the_global_batch():
    key = DropoutKey(step_bits(0, tf.constant(3, tf.int64)), tf.range(32, 64))
    assert (mask(key, 1, 128, 0.25).numpy() == masks(rows=range(32, 64))).all()


def test_masks_of_different_steps_are_independent():
    bits = [masks(step=step, rate=0.5).ravel() > 0 for step in range(8)]
    for i in range(8):
        for j in range(i):
            assert abs((bits[i] == bits[j]).mean() - 0.5) < 0.03


def mix(bits):
    """MurmurHash3's finaliser <uint32> with an offset, after its definition (fmix32)."""
    bits = (bits + np.uint64(0x9E3779B9)) % 2**32
    bits = (bits ^ bits >> 16) * 0x85EBCA6B % 2**32
    bits = (bits ^ bits >> 13) * 0xC2B2AE35 % 2**32
    return bits ^ bits >> 16


def dropped(rate, *place, key=KEY):
    """What a mask drops <bool>, by a hash in NumPy of the key and a place."""
    bits = np.uint64(key.bits)
    for value in place:
        bits = mix(bits ^ np.asarray(value, np.uint64))
    return bits < int(rate * 2**32)


@pytest.fixture
def tokens():
    """Ids <int32>[64, 300] of 50 words, with padding at the right."""
    ids = np.random.default_rng(0).integers(1, 50, (64, 300)).astype(np.int32)
    ids[:, 250:] = vocabulary.PADDING
    return ids


def test_mask_is_a_hash_of_key_layer_row_and_unit():
    expected = ~dropped(0.25, 1, np.arange(64)[:, None], np.arange(128)) / np.float32(0.75)
    np.testing.assert_array_equal(masks(), expected.astype(np.float32))


def test_known_words_become_unknown(tokens):
    found = with_unknown(KEY, tokens, 0.1).numpy()
    hit = dropped(0.1, dropout._TOKENS, np.arange(64)[:, None], np.arange(300))
    expected = np.where(hit & (tokens != vocabulary.PADDING), vocabulary.UNKNOWN, tokens)
    np.testing.assert_array_equal(found, expected)
    known = tokens > vocabulary.UNKNOWN
    assert abs((found != tokens)[known].mean() - 0.1) < 0.01
    # Each occurrence of a word for itself, and each step others.
    assert len(np.unique((found == tokens)[tokens == 7])) == 2
    assert (with_unknown(OTHER_STEP, tokens, 0.1) != found).numpy().any()
    np.testing.assert_array_equal(with_unknown(LATER, tokens[32:, :40], 0.1), found[32:, :40])


def test_all_occurrences_of_a_word_in_a_review_are_dropped_or_none(tokens):
    factors = word_mask(KEY, tokens, 0.25).numpy()
    hit = dropped(0.25, dropout._WORDS, np.arange(64)[:, None], tokens)
    np.testing.assert_array_equal(factors, np.float32(~hit) / np.float32(0.75))
    of_words = np.zeros((64, 50), np.float32)
    np.put_along_axis(of_words, tokens, factors, axis=1)
    np.testing.assert_array_equal(np.take_along_axis(of_words, tokens, axis=1), factors)
    assert abs((of_words == 0).mean() - 0.25) < 0.03
    assert np.abs(of_words.std(axis=0)).min() > 0  # no word is treated alike in all reviews
    assert (word_mask(OTHER_STEP, tokens, 0.25) != factors).numpy().any()
    np.testing.assert_array_equal(word_mask(LATER, tokens[32:], 0.25), factors[32:])


def test_weights_have_one_mask_for_all_rows_of_a_step():
    factors = weight_mask(KEY, 2, (64, 256), 0.25).numpy()
    hit = dropped(0.25, dropout._WEIGHTS, 2, np.arange(64)[:, None], np.arange(256))
    np.testing.assert_array_equal(factors, np.float32(~hit) / np.float32(0.75))
    assert abs((factors == 0).mean() - 0.25) < 0.01
    np.testing.assert_array_equal(weight_mask(LATER, 2, (64, 256), 0.25), factors)
    for other in (
        weight_mask(KEY, 3, (64, 256), 0.25),
        weight_mask(OTHER_STEP, 2, (64, 256), 0.25),
    ):
        assert abs((factors == other).numpy().mean() - 0.625) < 0.02


def test_masks_have_the_ids_of_the_vocabulary():
    assert dropout.UNKNOWN == vocabulary.UNKNOWN > vocabulary.PADDING


def test_drawn_numbers_are_even_below_their_limits_and_go_with_their_row_and_place():
    places, limits = tf.range(500), tf.broadcast_to(1 + tf.range(500) % 4, [64, 500])
    numbers = drawn_number(KEY, 0, places, limits).numpy()
    for limit in range(1, 5):
        shares = np.bincount(numbers[limits == limit], minlength=limit) / (64 * 125)
        np.testing.assert_allclose(shares, 1 / limit, atol=0.02)
    later = drawn_number(LATER, 0, places[7:], limits[32:, 7:])
    np.testing.assert_array_equal(later, numbers[32:, 7:])
    for key, number in ((OTHER_STEP, 0), (KEY, 1)):
        assert (drawn_number(key, number, places, limits).numpy() != numbers).mean() > 0.3
