"""Figures and tables of a test of labels: confusion, ROC, calibration, accuracy by length.

    drawings = plots(results, labels)       # for a page
    by_label(results, labels), by_length_table(results)

With two labels the curves are those of the positive one. With more, each label is taken against
all others and the mean is drawn. The calibration is that of the predicted label.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from input_pipeline.labels import Labels
from trainer.learning.metrics import BINS, by_length, calibration, confusion, length_name
from trainer.pages import statistics
from trainer.pages.curves import MOST_POINTS, Drawing
from trainer.pages.figures import FAINT, INK, SERIES, as_svg, new_figure
from trainer.pages.table import Cell, Table, count, number, percent
from trainer.run.test_results import TestResults

_SIZE = 4.6, 3.4  # inches
_CELL_COLOR = 0.25, 0.55, 0.85  # of the heat map, on light and on dark paper
_MOST_NAMED, _MOST_COUNTED = 30, 12  # labels on the axes, and with numbers in the cells
_LONGEST_NAME = 16  # characters on an axis
_CHARACTERS = 40  # that fit on an axis beside each other


class Group(NamedTuple):
    """Reviews of about one length."""

    name: str
    right: int
    reviews: int


def plots(results: TestResults, labels: Labels) -> list[Drawing]:
    """Draws all figures of a test that has reviews."""
    drawings = [_confusion(results, labels.names)]
    if len(labels) == 2:
        drawings += [_roc(results, labels.names[1]), _precision_recall(results, labels.names[1])]
    else:
        drawings += [_macro_roc(results)]
    return [*drawings, _calibration(results), _accuracy_by_length(results)]


def by_label(results: TestResults, labels: Labels) -> Table:
    """Returns precision, recall and F1 of each label."""
    matrix = confusion(results.labels, results.predicted, len(labels))
    rows = [
        [
            Cell(name),
            *map(count, (have, predicted)),
            *map(number, (_ratio(hits, predicted), _ratio(hits, have))),
            number(_ratio(2 * hits, have + predicted)),
        ]
        for name, hits, have, predicted in zip(
            labels.names, matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0), strict=True
        )
    ]
    return Table(["label", "reviews", "predicted", "precision", "recall", "F1"], rows)


def length_groups(results: TestResults) -> list[Group]:
    """Returns the accuracy of the reviews by their length, in the groups of the evaluation."""
    right = results.right
    return [
        Group(length_name(bound), int(right[ids].sum()), len(ids))
        for bound, ids in by_length(results.lengths)
    ]


def by_length_table(results: TestResults) -> Table:
    """Returns the accuracy by length with the bounds of its 95 % interval."""
    rows = [
        [
            Cell(group.name, place),
            count(group.reviews),
            percent(group.right / group.reviews),
            *map(percent, statistics.wilson(group.right, group.reviews)),
        ]
        for place, group in enumerate(length_groups(results))
    ]
    return Table(["tokens", "reviews", "accuracy", "from", "to"], rows)


def _fit(names: Sequence[str]) -> bool:
    """Returns True when the names of columns fit beside each other."""
    return len(names) * max(map(len, names)) <= _CHARACTERS


def _confusion(results: TestResults, names: Sequence[str]) -> Drawing:
    matrix = confusion(results.labels, results.predicted, len(names))
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    figure, axes = new_figure(*_SIZE)
    pixels = np.dstack([np.broadcast_to(part, shares.shape) for part in _CELL_COLOR] + [shares])
    axes.imshow(pixels, interpolation="nearest", aspect="auto")
    axes.grid(visible=False)
    axes.set(xlabel="predicted", ylabel="label")
    if len(names) <= _MOST_NAMED:
        short = [_shortened(name) for name in names]
        axes.set_xticks(range(len(names)), short, rotation=0 if _fit(short) else 90)
        axes.set_yticks(range(len(names)), short)
    if len(names) <= _MOST_COUNTED:
        for (row, column), cell in np.ndenumerate(matrix):
            text = f"{cell:,}\n{shares[row, column]:.0%}" if len(names) < 5 else f"{cell:,}"
            axes.text(column, row, text, ha="center", va="center", color=INK)
    right = _ratio(matrix.trace(), matrix.sum())
    return Drawing(
        "Confusion matrix",
        as_svg(figure, f"Confusion matrix; {right:.1%} of the reviews are on its diagonal"),
        "A row a label, a column a prediction; the colour is the fraction of the row.",
    )


def _roc(results: TestResults, positive: str) -> Drawing:
    curve = statistics.roc(results.probabilities[:, 1], results.labels == 1)
    caption = f"Area {_text(statistics.area_under(curve))}; positive is {positive!r}."
    return _rates("ROC", curve, caption)


def _macro_roc(results: TestResults) -> Drawing:
    curve = statistics.macro_roc(results.probabilities, results.labels)
    area = _text(statistics.macro_area(results.probabilities, results.labels))
    return _rates(
        "ROC, mean over labels", curve, f"Mean area {area}, each label against the others."
    )


def _rates(title: str, curve: statistics.Curve, caption: str) -> Drawing:
    figure, axes = new_figure(*_SIZE)
    _line(axes, curve)
    axes.plot([0, 1], [0, 1], color=FAINT, linestyle=":", label="a guess")
    axes.set(xlabel="false positive rate", ylabel="true positive rate")
    axes.legend(fontsize=8)
    return Drawing(title, as_svg(figure, f"{title}. {caption}"), caption)


def _precision_recall(results: TestResults, positive: str) -> Drawing:
    is_positive = results.labels == 1
    curve = statistics.precision_recall(results.probabilities[:, 1], is_positive)
    figure, axes = new_figure(*_SIZE)
    _line(axes, curve)
    axes.axhline(is_positive.mean(), color=FAINT, linestyle=":", label="a guess")
    axes.set(xlabel="recall", ylabel="precision", ylim=(0, 1.03))
    axes.legend(fontsize=8)
    area = _text(statistics.average_precision(curve))
    caption = f"Average precision {area}; positive is {positive!r}."
    return Drawing("Precision and recall", as_svg(figure, f"Precision-recall. {caption}"), caption)


def _line(axes: Any, curve: statistics.Curve) -> None:
    kept = np.unique(np.linspace(0, len(curve.x) - 1, min(MOST_POINTS, len(curve.x))).astype(int))
    axes.plot(curve.x[kept], curve.y[kept], color=SERIES[0], label="this run")


def _calibration(results: TestResults) -> Drawing:
    found = calibration(results.probabilities, results.labels)
    figure, axes = new_figure(*_SIZE)
    axes.plot([0, 1], [0, 1], color=FAINT, linestyle=":", label="calibrated")
    spans = [
        statistics.wilson(round(share * held), held)
        for share, held in zip(found.accuracy, found.counts.tolist(), strict=True)
    ]
    _intervals(axes, found.confidence, found.accuracy, spans, "-o")
    axes.set(
        xlabel="probability of the predicted label",
        ylabel="fraction that is right",
        ylim=(-0.03, 1.03),
    )
    axes.legend(fontsize=8)
    caption = f"Expected calibration error {found.error:.3f}, with {BINS} bins."
    return Drawing("Calibration", as_svg(figure, f"Reliability diagram. {caption}"), caption)


def _accuracy_by_length(results: TestResults) -> Drawing:
    groups = length_groups(results)
    figure, axes = new_figure(*_SIZE)
    shares = np.array([group.right / group.reviews for group in groups])
    spans = [statistics.wilson(group.right, group.reviews) for group in groups]
    _intervals(axes, np.arange(len(groups)), shares, spans, "o")
    axes.set_xticks(range(len(groups)), [f"{group.name}\n{group.reviews:,}" for group in groups])
    axes.set(
        xlabel="tokens, and number of reviews", ylabel="accuracy", xlim=(-0.5, len(groups) - 0.5)
    )
    described = ", ".join(f"{g.name} {s:.3f}" for g, s in zip(groups, shares, strict=True))
    caption = "With 95 % intervals (Wilson)."
    return Drawing(
        "Accuracy by length", as_svg(figure, f"Accuracy by length: {described}"), caption
    )


def _intervals(
    axes: Any, x: np.ndarray, y: np.ndarray, spans: Sequence[tuple[float, float]], style: str
) -> None:
    low, high = np.array(spans).T
    errors = np.maximum([y - low, high - y], 0.0)
    axes.errorbar(
        x, y, errors, fmt=style, color=SERIES[0], capsize=3, label="this run, 95 % interval"
    )


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def _text(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "not defined: the reviews have one label"


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else math.nan
