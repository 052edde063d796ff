"""Metrics of training, as sums, and of an evaluation, from its logits.

sums = Sums()
sums.add(loss_sum, weight, correct)
sums.loss, sums.accuracy

evaluation = evaluate(logits, labels, lengths)
evaluation.accuracy, evaluation.auc, evaluation.by_length
"""

import dataclasses
from typing import NamedTuple

import numpy as np

# Upper bounds, in words, of the groups that an evaluation is broken down by; a last one is open.
LENGTH_BOUNDS = (64, 128, 256, 512)


@dataclasses.dataclass
class Sums:
    """Weighted sums over steps, added one by one, so that no grouping changes them."""

    loss_sum: float = 0.0
    weight: float = 0.0
    correct: float = 0.0
    words: float = 0.0
    places: float = 0.0  # for words, with padding

    def add(
        self, loss_sum: float, weight: float, correct: float, words: int = 0, places: int = 0
    ) -> None:
        """Adds a step's."""
        self.loss_sum += float(loss_sum)
        self.weight += float(weight)
        self.correct += float(correct)
        self.words += float(words)
        self.places += float(places)

    @property
    def loss(self) -> float:
        """Mean loss of a review."""
        return self.loss_sum / self.weight

    @property
    def accuracy(self) -> float:
        """Share of the reviews on the right side of one half."""
        return self.correct / self.weight

    @property
    def padding(self) -> float:
        """Share of the places for words that no word has taken."""
        return 1.0 - self.words / self.places


class Evaluation(NamedTuple):
    """Over a whole split, each review once."""

    accuracy: float
    loss: float
    auc: float  # nan when all labels are the same
    # Of reviews of up to so many words: (bound or None for the open end, reviews, accuracy).
    by_length: tuple[tuple[int | None, int, float], ...]


def evaluate(logits: np.ndarray, labels: np.ndarray, lengths: np.ndarray) -> Evaluation:
    """Metrics of logits <float32>[reviews] for labels <int>[reviews], 0 or 1.

    `lengths` <int>[reviews] are in words.
    """
    logits = logits.astype(np.float64)
    right = (logits > 0) == (labels == 1)
    losses = np.maximum(logits, 0) - logits * labels + np.log1p(np.exp(-np.abs(logits)))
    groups = np.searchsorted(LENGTH_BOUNDS, lengths)
    by_length = tuple(
        (bound, int((groups == group).sum()), float(right[groups == group].mean()))
        for group, bound in enumerate((*LENGTH_BOUNDS, None))
        if (groups == group).any()
    )
    return Evaluation(float(right.mean()), float(losses.mean()), _auc(logits, labels), by_length)


def _auc(logits: np.ndarray, labels: np.ndarray) -> float:
    """Chance that a positive review's logit is above a negative one's, ties counted as a half:
    the Mann-Whitney statistic (Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747)."""
    positives = int((labels == 1).sum())
    pairs = positives * (len(labels) - positives)
    if not pairs:
        return float("nan")
    _, place, count = np.unique(logits, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]  # mean rank of equal logits, from 1
    return float((ranks[labels == 1].sum() - positives * (positives + 1) / 2) / pairs)
