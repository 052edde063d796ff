"""A checkpoint's manifest: what is known of the checkpoint without reading its data.

    manifest = Manifest(step=400, config=..., metrics={"accuracy": 0.87}, score=0.87, ...)
    manifest = decode(encode(manifest), NAME.fullmatch(manifest.name))

Format 1, of the first version, had `validation_accuracy` in place of `metrics` and `score`, and
other sums. It is still read.
"""

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from input_pipeline.labels import SENTIMENTS
from storage import checksum, json_object
from storage.errors import UserError

FORMAT = 2
# The name of an object of a checkpoint.
NAME = re.compile(r"checkpoints/(?P<step>\d+)/claim-(?P<claim>\d+)\.(?P<part>.+)")
MANIFEST = "manifest.json"  # the `part` of a manifest


class Damaged(Exception):
    """A checkpoint that does not verify; says what is wrong with it."""


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a checkpoint is of, and which files it has."""

    step: int
    config: str  # the decisive fields, as `resume.decisive_fields` gives them
    vocabulary: str  # digest
    labels: tuple[str, ...]  # names in the order of their numbers
    data: str  # digest of the training reviews
    # Of the validation at this step, None where one is not defined; {} within an epoch.
    metrics: Mapping[str, float | None]
    score: float | None  # ranks checkpoints, higher is better; None within an epoch
    # Metrics gathered so far, as `MetricSums.pairs`, by what they were gathered for.
    sums: Mapping[str, Mapping[str, tuple[float, float]]]
    claim: int = 0  # of the process that wrote it
    files: tuple[Mapping[str, Any], ...] = ()  # name, size, crc32c
    slices: int = 0  # of a batch over all replicas; 0 where an earlier version didn't say
    format: int = FORMAT

    @property
    def prefix(self) -> str:
        """The name that TensorFlow gives the files, without their endings."""
        return f"checkpoints/{self.step}/claim-{self.claim}"

    @property
    def name(self) -> str:
        """The name of the manifest's own object."""
        return f"{self.prefix}.{MANIFEST}"

    @property
    def digest(self) -> int:
        """CRC-32C of all fields."""
        return _digest(dataclasses.asdict(self))

    def describe(self, metric: str) -> str:
        """Returns the checkpoint in words: its step and, where it is known, a validation metric."""
        value = self.metrics.get(metric)
        known = "" if value is None else f", validation {metric} {value:.3f}"
        return f"step {self.step}{known}"


def encode(manifest: Manifest) -> bytes:
    """Returns the manifest as JSON, with a checksum of its own fields."""
    fields = {**dataclasses.asdict(manifest), "score": _finite_or_none(manifest.score)}
    return json.dumps({**fields, "crc32c": _digest(fields)}, indent=1).encode()


def decode(data: bytes, name: re.Match) -> Manifest:
    """Reads a manifest whose object name is `name`, a match of NAME.

    Raises Damaged when the bytes are not what was written, and UserError when a newer version wrote
    them.
    """
    try:
        fields = json_object.parse(data)
        if fields.pop("crc32c") != _digest(fields):
            raise ValueError("another checksum")
        written_in = fields.get("format", 1)
        if written_in > FORMAT:
            raise UserError(
                f"--workdir: {name.string} has format {written_in}, this version reads up to "
                f"{FORMAT}; run the newer version that wrote it"
            )
        if written_in == 1:
            fields = _upgraded(fields)
        # Manifests of the first version to have format 2 lack the labels.
        labels = tuple(fields.get("labels", SENTIMENTS.names))
        score, files = _finite_or_none(fields["score"]), tuple(fields["files"])
        manifest = Manifest(**{**fields, "labels": labels, "score": score, "files": files})
        if manifest.name != name.string or not manifest.files:
            raise ValueError("it is of another checkpoint, or names no files")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Damaged(f"the manifest of step {name['step']} can't be read ({error})") from error
    return manifest


def _finite_or_none(score: float | None) -> float | None:
    """Returns None for a score that ranks behind every number, and that JSON doesn't have."""
    return score if score is not None and math.isfinite(score) else None


def _upgraded(fields: dict[str, Any]) -> dict[str, Any]:
    """Returns the fields of a format 1 manifest as today's."""
    accuracy = fields.pop("validation_accuracy")
    metrics = {} if accuracy is None else {"accuracy": accuracy}
    sums = {name: _upgraded_sums(**old) for name, old in fields.pop("sums").items()}
    return {**fields, "metrics": metrics, "score": accuracy, "sums": sums, "format": FORMAT}


def _upgraded_sums(
    loss_sum: float, weight: float, correct: float, words: float, places: float
) -> dict[str, tuple[float, float]]:
    if not weight:
        return {}
    return {"loss": (loss_sum, weight), "accuracy": (correct, weight), "filled": (words, places)}


def _digest(fields: Mapping[str, Any]) -> int:
    return checksum.of(json.dumps(fields, sort_keys=True).encode())
