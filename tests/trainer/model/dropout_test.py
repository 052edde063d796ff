import numpy as np
import tensorflow as tf

from trainer.model.dropout import DropoutKey, mask, step_bits


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
