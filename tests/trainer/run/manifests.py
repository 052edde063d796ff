"""Manifests for tests of checkpoints."""

from trainer.run.manifest import Manifest


def manifest_of(step: int, score: float | None = None) -> Manifest:
    """Returns a manifest whose sums contain `step`; `score` is also its validation accuracy."""
    metrics = {} if score is None else {"accuracy": score}
    sums = {"epoch_sums": {"loss": (0.5 * step, 1.0 * step)}}
    return Manifest(step, "{}", "v", "d", metrics, score, sums)
