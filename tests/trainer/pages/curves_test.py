"""Curves over steps: thinned out with their peaks, and marked."""

import numpy as np
import pytest

from trainer.pages import curves
from trainer.pages.curves import Marks, decimated, over_steps, series
from trainer.pages.figures import SERIES


def test_short_curve_is_whole():
    assert decimated(np.arange(2000.0)).tolist() == list(range(2000))


def test_long_curve_keeps_its_peaks_and_its_order():
    y = np.sin(np.arange(100_000) / 3000)
    y[[777, 50_001]] = (9.0, -9.0)
    y[5000:6000] = np.nan
    kept = decimated(y)
    assert len(kept) <= curves.MOST_POINTS
    assert {777, 50_001} <= set(kept.tolist())
    assert (np.diff(kept) > 0).all()


def test_curve_without_a_finite_value_is_none():
    assert series("loss", [], SERIES[0]) == []
    assert series("loss", [(1, np.nan), (2, np.inf)], SERIES[0]) == []


def test_figure_names_its_curves_and_marks():
    drawn = series("train", [(1, 0.5), (2, 0.4)], SERIES[0])
    drawn += series("validation", [(2, 0.45)], SERIES[1], points=True)
    marks = Marks(restarts=(1, 2), best=(2, 0.45), limit=("clip_norm", 1.0))
    svg = over_steps("Loss", drawn, marks).svg
    assert 'aria-label="Loss over the steps: train, validation"' in svg
    for text in ("train", "validation", "restart", "best, step 2", "clip_norm", "step"):
        assert f">{text}</text>" in svg


def test_name_with_an_underscore_is_in_the_legend():
    drawn = series("_old", [(1, 0.5), (2, 0.4)], SERIES[0])
    assert ">\u200b_old</text>" in over_steps("Loss", drawn).svg


@pytest.mark.parametrize(
    ("values", "tick"),
    [
        ([0.001, 1000.0], "10"),
        ([0.2, 3.0], "0.5"),
        ([0.7, 1.1], "1"),
        ([0.0, 0.5], "0.5"),
        ([0.0, 0.0], "0.00"),
    ],
)
def test_ticks_of_a_logarithmic_axis_are_numbers(values, tick):
    drawn = series("norm", enumerate(values), SERIES[0])
    svg = over_steps("Norm", drawn, log=True).svg
    assert f">{tick}</text>" in svg
    assert "mathdefault" not in svg
    assert "$" not in svg


def test_long_run_gives_a_small_figure():
    generator = np.random.default_rng(0)
    drawn = series("train", enumerate(generator.random(200_000)), SERIES[0])
    assert len(over_steps("Loss", drawn).svg) < 100_000
