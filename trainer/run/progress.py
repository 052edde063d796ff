"""How far a run is, beside its variables; a manifest keeps it.

progress = Progress()
progress.epoch(steps_per_epoch=360)         # 0
manifest = Manifest(..., **progress.fields())
progress = from_checkpoint(manifest, lines, objective)
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

from trainer.learning.metrics import MetricSums
from trainer.learning.objectives.objective import Objective, score
from trainer.run.manifest import Manifest


@dataclasses.dataclass
class Progress:
    """The step a run stands at and what it has measured."""

    step: int = 0
    epoch_sums: MetricSums = dataclasses.field(default_factory=MetricSums)  # of this epoch
    line_sums: MetricSums = dataclasses.field(default_factory=MetricSums)  # since the last line
    # Of the validation at this step; {} and None where there was none.
    metrics: Mapping[str, float | None] = dataclasses.field(default_factory=dict)
    score: float | None = None
    scores: list[float] = dataclasses.field(default_factory=list)  # of all validations so far

    def epoch(self, steps_per_epoch: int) -> int:
        """Returns the epoch it stands in, from 0; an epoch ends with its validation."""
        return (self.step - bool(self.epoch_sums)) // steps_per_epoch

    def epochs_without_gain(self) -> int:
        """Returns the number of validations since the best one; the first of equals counts."""
        # A nan is worse than any number.
        scores = [-math.inf if math.isnan(score) else score for score in self.scores]
        return len(scores) - 1 - scores.index(max(scores)) if scores else 0

    def fields(self) -> dict[str, Any]:
        """Returns the fields of a manifest that say how far the run is."""
        sums = {"epoch_sums": self.epoch_sums.pairs(), "line_sums": self.line_sums.pairs()}
        return {"step": self.step, "metrics": self.metrics, "score": self.score, "sums": sums}


def from_checkpoint(manifest: Manifest, lines: bytes, objective: Objective) -> Progress:
    """Returns the progress at a checkpoint, given the lines of metrics up to there."""
    sums = {name: MetricSums(pairs) for name, pairs in manifest.sums.items()}
    return Progress(
        manifest.step,
        metrics=manifest.metrics,
        score=manifest.score,
        scores=_scores(lines, objective),
        **sums,
    )


def _scores(lines: bytes, objective: Objective) -> list[float]:
    """Returns the score of each validation; one that was not finite is nan."""
    validations = [
        {name: math.nan if value is None else value for name, value in line.items()}
        for line in map(json.loads, lines.splitlines())
        if line["kind"] == "validation"
    ]
    return [score(objective, metrics) for metrics in validations]
