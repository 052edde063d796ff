"""What stands out in the results of a test, review by review.

findings(results, record)
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from trainer.learning.metrics import calibration, confusion
from trainer.pages import statistics
from trainer.run.record import Record
from trainer.run.test_results import TestResults


class Finding(NamedTuple):
    """A sentence or two, and the fields of the config that change it, "" for none."""

    text: str
    fields: str


def findings(results: TestResults, record: Record) -> list[Finding]:
    """Returns what stands out in the results of a run's test, which has reviews."""
    return [finding for look in _LOOKS for finding in look(results, record)]


def _guess(results: TestResults, record: Record) -> list[Finding]:
    """Finds an accuracy that could be that of always guessing the most frequent label."""
    counts = np.bincount(results.labels, minlength=len(record.labels))
    right, count = int(results.right.sum()), len(results.labels)
    share = counts.max() / count
    if statistics.wilson(right, count)[0] > share:
        return []
    verdict = "Perhaps no" if right / count > share else "No"
    text = (
        f"{verdict} better than a guess: {right / count:.3f} of the reviews are right, and always "
        f"saying {record.labels.names[counts.argmax()]!r} would get {share:.3f}."
    )
    return [Finding(text, "optimizer.learning_rate, train.epochs (more) or the labels of the data")]


def _lopsided(results: TestResults, record: Record) -> list[Finding]:
    """Finds, with two labels, mistakes that are of one kind more often than chance (p < 0.01)."""
    if len(record.labels) != 2:
        return []
    matrix = confusion(results.labels, results.predicted, 2)
    missed, false_alarms = int(matrix[1, 0]), int(matrix[0, 1])
    wrong = missed + false_alarms
    if statistics.even_split(min(missed, false_alarms), wrong) >= 0.01:
        return []
    negative, positive = record.labels.names
    label, other = (positive, negative) if missed > false_alarms else (negative, positive)
    number = record.labels.names.index(other)
    said, true = (results.predicted == number).mean(), (results.labels == number).mean()
    text = (
        f"The mistakes are lopsided: {other!r} is predicted for {said:.1%} of the reviews and is "
        f"the label of {true:.1%}; of {wrong:,} mistakes {max(missed, false_alarms):,} take "
        f"{label!r} for it."
    )
    return [Finding(text, "")]


def _weakest_label(results: TestResults, record: Record) -> list[Finding]:
    """Finds, with more labels, the one of the lowest recall if chance does not explain that.

    The lowest of many labels would often be low by chance, so the level of 95 % is that of all
    labels together (Bonferroni).
    """
    if len(record.labels) == 2:
        return []
    matrix = confusion(results.labels, results.predicted, len(record.labels))
    accuracy = results.right.mean()
    have = matrix.sum(axis=1)
    weak = int(np.where(have > 0, matrix.diagonal() / np.maximum(have, 1), np.inf).argmin())
    right, count = int(matrix[weak, weak]), int(have[weak])
    if statistics.wilson(right, count, statistics.quantile(len(record.labels)))[1] >= accuracy:
        return []
    taken_for = int(np.where(np.arange(len(have)) == weak, -1, matrix[weak]).argmax())
    text = (
        f"The label {record.labels.names[weak]!r} is the weakest: {right / count:.3f} of its "
        f"{count:,} reviews are right, of all {accuracy:.3f}; most often it is taken for "
        f"{record.labels.names[taken_for]!r}, {matrix[weak, taken_for]:,} times."
    )
    return [Finding(text, "")]


def _cut(results: TestResults, record: Record) -> list[Finding]:
    """Finds reviews that are cut, at least 1 % of them, and says how well they do."""
    cut, right = results.lengths > record.config.data.max_tokens, results.right
    if not 0.01 <= cut.mean() < 1.0:
        return []
    text = (
        f"{cut.mean():.1%} of the test reviews are longer than {record.config.data.max_tokens:,} "
        f"tokens and are cut: their accuracy is {right[cut].mean():.3f}, that of the others "
        f"{right[~cut].mean():.3f}, {_significance(right[cut], right[~cut])}."
    )
    return [Finding(text, "data.max_tokens (more) or data.keep")]


def _unknown(results: TestResults, record: Record) -> list[Finding]:
    """Finds at least 2 % of the tokens outside the vocabulary."""
    share = results.unknown.sum() / max(results.lengths.sum(), 1)
    if share < 0.02:
        return []
    size = record.config.data.vocabulary_size
    text = f"{share:.1%} of the tokens of the test reviews are not in the vocabulary."
    return [Finding(text, f"data.vocabulary_size (more than {size:,})")]


def _confidence(results: TestResults, record: Record) -> list[Finding]:
    """Finds probabilities that are off by more than 0.01 and by more than chance explains."""
    right, confidence = results.right, results.probabilities.max(axis=1).mean()
    low, high = statistics.wilson(int(right.sum()), len(right))
    # Probabilities that are not finite are off by no number.
    if low <= confidence <= high or not abs(confidence - right.mean()) > 0.01:
        return []
    kind = "Overconfident" if confidence > high else "Underconfident"
    text = (
        f"{kind}: the predicted labels have a probability of {confidence:.3f} on average, and "
        f"{right.mean():.3f} of them are right (expected calibration error "
        f"{calibration(results.probabilities, results.labels).error:.3f})."
    )
    if confidence > high:
        return [Finding(text, "train.label_smoothing (larger) or train.epochs (fewer)")]
    smoothed = record.config.train.label_smoothing > 0
    return [Finding(text, "train.label_smoothing (smaller)" if smoothed else "train.epochs (more)")]


def _significance(first: np.ndarray, second: np.ndarray) -> str:
    """Says whether two accuracies differ, by the 95 % interval of their difference."""
    low, high = statistics.difference(first, second)
    return "which chance may explain" if low <= 0.0 <= high else "more than chance explains"


_LOOKS: tuple[Callable[[TestResults, Record], list[Finding]], ...] = (
    *(_guess, _lopsided, _weakest_label, _confidence, _cut, _unknown),
)
