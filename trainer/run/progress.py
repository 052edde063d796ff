"""How far a run is, beside its variables; a manifest keeps it.

progress = Progress()
progress.epoch(steps_per_epoch=360)         # 0
manifest = Manifest(..., **progress.fields())
progress = from_manifest(manifest)
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from trainer.learning.metrics import MetricSums
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

    def epoch(self, steps_per_epoch: int) -> int:
        """Returns the epoch it stands in, from 0; an epoch ends with its validation."""
        return (self.step - bool(self.epoch_sums)) // steps_per_epoch

    def fields(self) -> dict[str, Any]:
        """Returns the fields of a manifest that say how far the run is."""
        sums = {"epoch_sums": self.epoch_sums.pairs(), "line_sums": self.line_sums.pairs()}
        return {"step": self.step, "metrics": self.metrics, "score": self.score, "sums": sums}


def from_manifest(manifest: Manifest) -> Progress:
    """Returns the progress at a checkpoint."""
    sums = {name: MetricSums(pairs) for name, pairs in manifest.sums.items()}
    return Progress(manifest.step, metrics=manifest.metrics, score=manifest.score, **sums)
