"""The file metrics.jsonl: one JSON object a line, unique by `kind` and `step`.

file = MetricsFile(store, claim, b"")               # or the lines of a checkpoint
file.write("train", 450, {"loss": 0.41})
file.lines                                          # all so far, for the next checkpoint
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from storage.claims import Claim
from storage.store import Store
from trainer.learning.metrics import finite_or_none
from trainer.run.writers.writer import Extra

METRICS_FILE = "metrics.jsonl"


class MetricsFile:
    """Takes over the file of a workdir, cut back to `lines`, for the process of `claim`."""

    def __init__(self, store: Store, claim: Claim, lines: bytes):
        self.lines = bytearray(lines)
        self._log = store.open_log(METRICS_FILE, lines, claim.check)

    def write(
        self, kind: str, step: int, values: Mapping[str, Any], extras: Sequence[Extra] = ()
    ) -> None:
        """Adds a line and flushes it; the file has no place for extras."""
        # The gradient's norm is infinite at a float16 overflow.
        line = {"kind": kind, "step": step, **finite_or_none(values)}
        text = (json.dumps(line) + "\n").encode()
        self.lines += text
        self._log.append(text)

    def close(self, seconds: float | None = None, finished: bool = True) -> None:
        """Waits up to `seconds` until the store has all lines; UserError if it fails."""
        self._log.close(seconds)
