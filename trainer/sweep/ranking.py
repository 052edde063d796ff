"""Which trials are best, one by one and on average over their seeds.

ranked = by_score(trials, results)      # the best first
best(trials, results)                   # among those trained to the end
means(trials, results)[0].mean          # of the best values, over their seeds
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from storage import exit_codes
from trainer.sweep.results import DONE, FAILED, NOT_BEGUN, UNFINISHED, Result
from trainer.sweep.trials import Trial

SEED = "seed"  # the field


class Mean(NamedTuple):
    """The trials that differ in their seed only, those with a score."""

    values: Mapping[str, Any]  # of the other fields
    scores: Sequence[float]
    done: int  # how many of them were trained to the end

    @property
    def mean(self) -> float:
        """Returns the mean of the scores."""
        return statistics.mean(self.scores)

    @property
    def deviation(self) -> float:
        """Returns the sample standard deviation of the scores, nan of one alone."""
        return statistics.stdev(self.scores) if len(self.scores) > 1 else math.nan


def by_score(trials: Sequence[Trial], found: Mapping[str, Result]) -> list[Trial]:
    """Returns the best trial first, of equal ones the first; those without a score last."""

    def rank(trial: Trial) -> tuple[bool, float]:
        score = found[trial.name].score
        return (score is None, -(score or 0.0))

    return sorted(trials, key=rank)


def best(trials: Sequence[Trial], found: Mapping[str, Result]) -> Trial | None:
    """Returns the best of the trials that were trained to the end; None when there is none."""
    done = [trial for trial in trials if found[trial.name].state == DONE]
    return next(iter(by_score(done, found)), None)


def means(trials: Sequence[Trial], found: Mapping[str, Result]) -> list[Mean]:
    """Returns the means over the seeds, the best first; [] without several seeds."""
    if len({trial.values.get(SEED) for trial in trials}) < 2:
        return []
    groups: dict[str, Mean] = {}
    for trial in trials:
        others = {field: value for field, value in trial.values.items() if field != SEED}
        mean = groups.setdefault(repr(others), Mean(others, [], 0))
        result = found[trial.name]
        if result.score is not None:
            done = mean.done + (result.state == DONE)
            groups[repr(others)] = Mean(others, [*mean.scores, result.score], done)
    return sorted((mean for mean in groups.values() if mean.scores), key=lambda mean: -mean.mean)


def exit_code(found: Mapping[str, Result]) -> int:
    """Returns FAILED when a trial has failed, or else RUN_AGAIN when one is not settled."""
    states = {result.state for result in found.values()}
    if FAILED in states:
        return exit_codes.FAILED
    return exit_codes.RUN_AGAIN if states & {UNFINISHED, NOT_BEGUN} else exit_codes.DONE


def number_of(trial: Trial) -> str:
    """Returns the number that a trial's name begins with."""
    return trial.name.partition("-")[0]
