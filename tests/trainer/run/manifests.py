"""Manifests for tests of checkpoints."""

from input_pipeline.labels import SENTIMENTS
from trainer.run.manifest import Manifest


def manifest_of(step: int, score: float | None = None) -> Manifest:
    """Returns a manifest whose sums contain `step`; `score` is also its validation accuracy."""
    metrics = {} if score is None else {"accuracy": score}
    sums = {"epoch_sums": {"loss": (0.5 * step, 1.0 * step)}}
    return Manifest(step, "{}", "v", SENTIMENTS.names, "d", metrics, score, sums)
