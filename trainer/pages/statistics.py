"""Statistics of a test: curves, areas, intervals and tests of differences.

    curve = roc(probabilities[:, 1], labels == 1)
    area_under(curve)                       # 0.95
    wilson(right=870, count=1000)           # (0.848, 0.889), the 95 % interval of 0.87
    mcnemar(first_right, second_right)      # a Discordance, with its p-value

NumPy alone; the tests compare with scikit-learn and SciPy, which a run need not have installed.
"""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np


class Curve(NamedTuple):
    """Points of a curve, in the order in which the threshold falls."""

    x: np.ndarray  # <float64>[points]
    y: np.ndarray  # <float64>[points]


class Discordance(NamedTuple):
    """Two runs on the same reviews, by the reviews that only one of them got right."""

    first_only: int
    second_only: int
    p_value: float  # of McNemar's exact test that both have the same accuracy
    difference: float  # accuracy of the second minus that of the first
    low: float  # bounds of the 95 % interval of the difference
    high: float


def roc(scores: np.ndarray, positive: np.ndarray) -> Curve:
    """Returns false positive rate (x) and true positive rate (y) of scores <float>[n], <bool>[n].

    Rates are nan where there is no review to divide by.
    """
    hits, false_alarms = _counts_by_threshold(scores, positive)
    with np.errstate(invalid="ignore"):
        rates = false_alarms / false_alarms[-1:], hits / hits[-1:]
    return Curve(*(np.concatenate([[0.0], rate]) for rate in rates))


def precision_recall(scores: np.ndarray, positive: np.ndarray) -> Curve:
    """Returns recall (x) and precision (y) of scores <float>[n] and <bool>[n]."""
    hits, false_alarms = _counts_by_threshold(scores, positive)
    with np.errstate(invalid="ignore"):
        return Curve(hits / hits[-1:], hits / (hits + false_alarms))


def area_under(curve: Curve) -> float:
    """Returns the area under straight lines between the points."""
    return float((np.diff(curve.x) * (curve.y[1:] + curve.y[:-1]) / 2).sum())


def average_precision(curve: Curve) -> float:
    """Returns the precision averaged over the steps in recall, without interpolation."""
    return float((np.diff(curve.x, prepend=0.0) * curve.y).sum())


def macro_roc(probabilities: np.ndarray, labels: np.ndarray, points: int = 501) -> Curve:
    """Returns the mean of the ROC curves of each label against all others.

    Each is read at the same false positive rates. Labels without a review, or with all of them,
    have no curve and are left out. `probabilities` <float32>[n, labels], `labels` <int>[n].
    """
    rates, curves = np.linspace(0.0, 1.0, points), []
    for label in np.unique(labels) if len(np.unique(labels)) > 1 else ():
        curve = roc(probabilities[:, label], labels == label)
        curves.append(np.interp(rates, curve.x, curve.y))
    return Curve(rates, np.mean(curves, axis=0) if curves else np.full(points, math.nan))


def macro_area(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Returns the mean area under the ROC curves of each label against all others."""
    present = np.unique(labels)
    areas = [area_under(roc(probabilities[:, label], labels == label)) for label in present]
    return float(np.mean(areas)) if len(present) > 1 else math.nan


def quantile(intervals: int) -> float:
    """Returns the standard normal quantile of intervals that all hold in 95 % of cases.

    This is Bonferroni's correction (Dunn 1961, doi:10.1080/01621459.1961.10482090).
    """
    return NormalDist().inv_cdf(1 - 0.025 / intervals)


Z = quantile(1)  # of an interval by itself


def wilson(right: int, count: int, z: float = Z) -> tuple[float, float]:
    """Returns the 95 % interval of a proportion (Wilson 1927, doi:10.2307/2276774).

    `z` is the quantile of another level.
    """
    if not count:
        return 0.0, 1.0
    share, spread = right / count, z * z / count
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread * spread / 4) / (1 + spread)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def difference(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Returns the 95 % interval of the difference of two proportions, of <bool>[n] each.

    The samples are independent. This is method 10 of Newcombe 1998
    (doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I).
    """
    shares = [float(part.mean()) for part in (first, second)]
    (low, high), (other_low, other_high) = (wilson(int(p.sum()), len(p)) for p in (first, second))
    middle = shares[0] - shares[1]
    below = math.hypot(shares[0] - low, other_high - shares[1])
    above = math.hypot(high - shares[0], shares[1] - other_low)
    return middle - below, middle + above


def mcnemar(first: np.ndarray, second: np.ndarray) -> Discordance:
    """Compares two predictions of the same reviews, each right or not, <bool>[n].

    The p-value is exact (McNemar 1947, doi:10.1007/BF02295996): the reviews that only one got right
    are coin tosses if both are equally accurate. The interval is Agresti and Min's adjusted one for
    paired proportions (2005, doi:10.1002/sim.1781).
    """
    first_only, second_only = int((first & ~second).sum()), int((second & ~first).sum())
    split, count = first_only + second_only, len(first) + 2
    centre = (second_only - first_only) / count
    half = Z * math.sqrt(max((split + 1) / count - centre * centre, 0.0) / count)
    return Discordance(
        first_only,
        second_only,
        even_split(min(first_only, second_only), split),
        difference=float(second.mean() - first.mean()),
        low=centre - half,
        high=centre + half,
    )


def even_split(fewer: int, tosses: int) -> float:
    """Returns the chance of so uneven a split, or a more uneven one, of fair coin tosses."""
    ways, total = 1, 0
    for heads in range(fewer + 1):
        total += ways
        ways = ways * (tosses - heads) // (heads + 1)
    return min(1.0, 2 * total / 2**tosses)


def _counts_by_threshold(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns true and false positives <float64>[thresholds] at each score, from the highest."""
    order = np.argsort(-scores, kind="stable")
    last_of_equals = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits = np.cumsum(positive[order])[last_of_equals]
    return hits.astype(np.float64), last_of_equals + 1.0 - hits
