"""Metrics by name: sums over training steps, and an evaluation broken down by length.

sums = MetricSums()
sums.add({"loss": (44.2, 64.0), "accuracy": (51.0, 64.0)})
sums.means()                            # {"loss": 0.69, "accuracy": 0.80}

groups = by_length(reviews.lengths)     # [(64, ids), (128, ids), ..., (None, ids)]
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

# Upper bounds, in tokens, of the groups that an evaluation is broken down by; a last one is open.
LENGTH_BOUNDS = (64, 128, 256, 512)


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
