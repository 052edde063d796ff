"""Curves over the steps of a run, or of several runs over each other.

    series = [Series("train", steps, losses, SERIES[0]), Series("validation", ...)]
    drawing = over_steps("Loss", series, marks=Marks(restarts=(400,)))
    drawing.svg                              # for a page

A long run's curve is thinned out so that its peaks stay.
"""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup
from matplotlib.ticker import LogLocator

from trainer.pages.figures import FAINT, INK, as_svg, new_figure

MOST_POINTS = 2000  # of a curve
_FEW_POWERS = 1000  # a logarithmic axis that spans less has ticks between the powers of ten
_WIDTH, _HEIGHT = 5.2, 3.0  # inches


class Drawing(NamedTuple):
    """A figure with what is written beside it."""

    title: str
    svg: Markup
    caption: str = ""


class Series(NamedTuple):
    """A curve."""

    label: str
    x: np.ndarray  # <float64>[points]
    y: np.ndarray  # <float64>[points], nan where there is none
    color: str
    points: bool = False  # with a mark at each point, for values that are few
    dashed: bool = False


class Marks(NamedTuple):
    """What is marked beside the curves."""

    restarts: Sequence[int] = ()  # steps
    best: tuple[int, float] | None = None  # step and value of the best checkpoint
    limit: tuple[str, float] | None = None  # name and height of a horizontal line


NO_MARKS = Marks()


def series(
    label: str, pairs: Iterable[tuple[float, float]], color: str, **style: bool
) -> list[Series]:
    """Returns the curve of (x, y) pairs, thinned out; none when no y is finite."""
    x, y = np.array([*pairs, (math.nan, math.nan)], np.float64)[:-1].T
    if not np.isfinite(y).any():
        return []
    kept = decimated(y)
    return [Series(label, x[kept], y[kept], color, **style)]


def decimated(y: np.ndarray, most: int = MOST_POINTS) -> np.ndarray:
    """Returns at most `most` indices <int64>[n] of y <float64>[points], peaks among them.

    Of each of `most` / 2 equal parts these are the indices of its lowest and its highest value.
    """
    if len(y) <= most:
        return np.arange(len(y))
    low, high = np.where(np.isnan(y), np.inf, y), np.where(np.isnan(y), -np.inf, y)
    parts = np.array_split(np.arange(len(y)), most // 2)
    extremes = [(part[low[part].argmin()], part[high[part].argmax()]) for part in parts]
    return np.unique(extremes)


def over_steps(
    title: str,
    curves: Sequence[Series],
    marks: Marks = NO_MARKS,
    log: bool = False,
    from_zero: bool = False,
) -> Drawing:
    """Draws curves over the steps of training.

    `log` is for values of several magnitudes; `from_zero` begins the axis at 0.
    """
    figure, axes = new_figure(_WIDTH, _HEIGHT)
    for curve in curves:
        _plot(axes, curve)
    _mark(axes, marks)
    axes.set_xlabel("step")
    if log and any((curve.y > 0).any() for curve in curves):
        _make_logarithmic(axes)
    if from_zero:
        axes.set_ylim(bottom=0.0)
    _legend(axes)
    names = ", ".join(curve.label for curve in curves)
    return Drawing(title, as_svg(figure, f"{title} over the steps: {names}"))


def _plot(axes: Any, curve: Series) -> None:
    style = {"linestyle": "--" if curve.dashed else "-", "alpha": 0.9}
    if curve.points or len(curve.x) == 1:
        style |= {"marker": "o", "markersize": 4.0}
    # A legend leaves out what begins with an underscore; the space before it has no width.
    label = re.sub("^_", "\u200b_", curve.label)
    axes.plot(curve.x, curve.y, color=curve.color, label=label, **style)


def _mark(axes: Any, marks: Marks) -> None:
    for number, step in enumerate(marks.restarts):
        label = "restart" if number == 0 else None
        axes.axvline(step, color=FAINT, linestyle=":", linewidth=1.0, label=label)
    if marks.limit is not None:
        name, height = marks.limit
        axes.axhline(height, color=FAINT, linestyle="--", linewidth=1.0, label=name)
    if marks.best is not None:
        step, value = marks.best
        style = {"marker": "*", "markersize": 12, "linestyle": "none", "zorder": 5}
        axes.plot([step], [value], color=INK, label=f"best, step {step:,}", **style)


def _make_logarithmic(axes: Any) -> None:
    """Makes the vertical axis logarithmic, with enough ticks and with plain numbers at them."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if high < _FEW_POWERS * low:
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")


def _legend(axes: Any) -> None:
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=8)
