"""Stops bad trials early: asynchronous successive halving, in the form that stops.

    halving = Halving(store)
    halving.stopped_after(trial, scores=[0.61, 0.64, 0.66])     # 3, the epoch; None to go on

A trial that has trained 1, 3, 9, ... epochs goes on if its score after that epoch is among the best
third, rounded up, of all trials that have come so far. Source: ASHA, Li et al. 2020,
https://arxiv.org/abs/1810.05934, which promotes trials; here all are started, and those that would
not be promoted are stopped. A trial is judged once: the file rungs/EPOCH/NAME.json keeps the
verdict, so that it is the same after a restart.
"""

import json
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from storage import json_object
from storage.errors import UserError
from storage.store import Store
from trainer.sweep.trials import Trial

REDUCTION = 3  # the paper's eta


class Verdict(NamedTuple):
    """What was decided about a trial after an epoch."""

    score: float
    goes_on: bool


class Halving:
    """The verdicts of a sweep, those of other processes included."""

    def __init__(self, store: Store):
        self._store = store
        self._known: dict[str, Verdict] = {}  # by the name of the file, which never changes

    def stopped_after(self, trial: Trial, scores: Sequence[float], epochs: int) -> int | None:
        """Returns the epoch after which a trial of `epochs` epochs is stopped, None to go on.

        `scores` are those after each of its epochs so far, higher is better.
        """
        for epoch in rungs(min(len(scores), epochs - 1)):
            name = f"{_folder(epoch)}{trial.name}.json"
            verdict = self._read(name) or self._judge(name, epoch, scores[epoch - 1])
            if not verdict.goes_on:
                return epoch
        return None

    def _judge(self, name: str, epoch: int, score: float) -> Verdict:
        score = score if math.isfinite(score) else -math.inf
        found = map(self._read, self._store.list(_folder(epoch)))
        others = [verdict.score for verdict in found if verdict]
        verdict = Verdict(score, is_among_best(score, others))
        # Infinity is no JSON.
        fields = {"score": score if math.isfinite(score) else None, "goes_on": verdict.goes_on}
        self._store.write(name, json.dumps(fields).encode())
        self._known[name] = verdict
        return verdict

    def _read(self, name: str) -> Verdict | None:
        if name not in self._known:
            try:
                fields = json_object.parse(self._store.read(name))
                score = -math.inf if fields["score"] is None else float(fields["score"])
                self._known[name] = Verdict(score, bool(fields["goes_on"]))
            except FileNotFoundError:
                return None
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(
                    f"--workdir: {self._store.url}/{name} can't be read ({error}); delete it"
                ) from error
        return self._known[name]


def is_among_best(score: float, others: Sequence[float]) -> bool:
    """Returns True when fewer are better than fit into the best part, 1 / REDUCTION of all."""
    better = sum(other > score for other in others)
    return better < math.ceil((len(others) + 1) / REDUCTION)


def rungs(last: int) -> Iterator[int]:
    """Yields the epochs up to `last` after which trials are judged."""
    epoch = 1
    while epoch <= last:
        yield epoch
        epoch *= REDUCTION


def _folder(epoch: int) -> str:
    return f"rungs/{epoch}/"
