"""Metrics: sums by name over training steps, and what an evaluation is broken down by.

sums = MetricSums()
sums.add({"loss": (44.2, 64.0), "accuracy": (51.0, 64.0)})
sums.means()                            # {"loss": 0.69, "accuracy": 0.80}

groups = by_length(reviews.lengths)     # [(64, ids), (128, ids), ..., (None, ids)]
area_under_roc(logits, labels == 1)     # 0.95
confusion(labels, predicted, count=2)   # [[1100, 150], [130, 1120]]
calibration(probabilities, labels)      # its error is 0.02, of the predicted label's probability
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

# Upper bounds, in tokens, of the groups that an evaluation is broken down by; a last one is open.
LENGTH_BOUNDS = (64, 128, 256, 512)
BINS = 15  # of the calibration, as in Guo et al. 2017, arXiv:1706.04599


class Calibration(NamedTuple):
    """Confidence and accuracy of the bins that hold predictions, and their distance."""

    confidence: np.ndarray  # <float64>[bins], mean probability of the predicted label in each
    accuracy: np.ndarray  # <float64>[bins], fraction that was right
    counts: np.ndarray  # <int64>[bins]
    error: float  # expected calibration error: mean distance of the two, weighted by counts


class MetricSums:
    """Sums and weights by name, added up step by step, so that no grouping changes them."""

    def __init__(self, pairs: Mapping[str, Iterable[float]] | None = None):
        """Starts from (sum, weight) pairs by name, as `pairs` returned them."""
        self._pairs = {name: (total, weight) for name, (total, weight) in (pairs or {}).items()}

    def __bool__(self) -> bool:
        """Returns True when something has been added."""
        return bool(self._pairs)

    def add(self, pairs: Mapping[str, tuple[float, float]]) -> None:
        """Adds a step's sums and weights."""
        for name, (total, weight) in pairs.items():
            before = self._pairs.get(name, (0.0, 0.0))
            self._pairs[name] = (before[0] + float(total), before[1] + float(weight))

    def pairs(self) -> dict[str, tuple[float, float]]:
        """Returns sums and weights by name."""
        return dict(self._pairs)

    def means(self) -> dict[str, float]:
        """Returns each sum over its weight; nan where the weight is 0."""
        return {
            name: total / weight if weight else float("nan")
            for name, (total, weight) in self._pairs.items()
        }


def finite_or_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values with None for infinite ones and nan, which JSON doesn't have."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }


def by_length(lengths: np.ndarray) -> list[tuple[int | None, np.ndarray]]:
    """Groups reviews of `lengths` <int>[reviews] tokens; empty groups are left out.

    Returns (longest length in tokens or None for the open end, indices <int>[n]) of each group.
    """
    groups = np.searchsorted(LENGTH_BOUNDS, lengths)
    bounds = enumerate((*LENGTH_BOUNDS, None))
    members = ((bound, np.flatnonzero(groups == group)) for group, bound in bounds)
    return [(bound, ids) for bound, ids in members if len(ids)]


def length_name(bound: int | None) -> str:
    """Returns what a group of `by_length` is called, such as "up to 64"."""
    return f"up to {bound}" if bound else "more"


def area_under_roc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Returns the chance that a positive review's score is above a negative one's, ties a half.

    This is the Mann-Whitney statistic (Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747)
    of scores <float>[reviews] and <bool>[reviews]; nan when all reviews have the same label.
    """
    positives = int(positive.sum())
    pairs = positives * (len(positive) - positives)
    if not pairs:
        return float("nan")
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]  # mean rank of equal scores, from 1
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / pairs)


def confusion(labels: np.ndarray, predicted: np.ndarray, count: int) -> np.ndarray:
    """Returns how often each of `count` labels <int>[n] was predicted as each <int>[count, count].

    The first index is the label, the second the prediction <int>[n].
    """
    cells = labels * count + predicted
    return np.bincount(cells, minlength=count * count).reshape(count, count)


def calibration(probabilities: np.ndarray, labels: np.ndarray) -> Calibration:
    """Compares the predicted labels' probabilities with how often they are right.

    The bins are BINS of equal width from 0 to 1; those without a prediction are left out. The
    error is the expected calibration error of Guo et al. 2017, arXiv:1706.04599, equation 3.

    Args:
        probabilities: of each label, <float>[reviews, labels]; the largest is the predicted one's.
        labels: <int>[reviews].
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = np.searchsorted(np.linspace(0.0, 1.0, BINS + 1)[1:-1], confidence)
    counts = np.bincount(bins, minlength=BINS)
    held = counts > 0
    sums = (np.bincount(bins, weights, BINS)[held] for weights in (confidence, right))
    mean, accuracy = (total / counts[held] for total in sums)
    error = (counts[held] * np.abs(mean - accuracy)).sum() / max(len(confidence), 1)
    return Calibration(mean, accuracy, counts[held], float(error))
