"""Where metrics are written: one interface, `write(kind, step, values)`.

    writer = MetricWriter(store, claim)
    writer.rewind(to_step=400)                    # on resume
    writer.write("train", 450, {"loss": 0.41})

`metrics.jsonl` has one JSON object a line, unique by `kind` and `step`; TensorBoard's files are a
view of it, made anew on resume.
"""

import json
import math
from collections.abc import Mapping

import tensorflow as tf

from storage import claims
from storage.errors import UserError
from storage.store import Store

_LINES = "metrics.jsonl"
_TENSORBOARD = "tensorboard"


class MetricWriter:
    """Writes the metrics of a run into its workdir, on behalf of the process with `claim`."""

    def __init__(self, store: Store, claim: int):
        self._store = store
        self._claim = claim
        self._board: tf.summary.SummaryWriter | None = None

    def rewind(self, to_step: int) -> None:
        """Drops what lies behind `to_step`, and tests, which come after the last step."""
        lines = []
        if self._store.exists(_LINES):
            # A line that was cut short has no end and belongs to a step that comes again.
            whole = self._store.read(_LINES).rpartition(b"\n")[0].split(b"\n")
            lines = [self._parse(number, line) for number, line in enumerate(whole, 1) if line]
        lines = [line for line in lines if line["step"] <= to_step and line["kind"] != "test"]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        self._store.write(_LINES, text.encode())
        for name in self._store.list(f"{_TENSORBOARD}/"):
            self._store.delete(name)
        self._board = tf.summary.create_file_writer(str(self._store.local_folder(_TENSORBOARD)))
        for line in lines:
            self._to_board(line)

    def write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Adds a line and flushes it; only after `rewind`. Superseded when a newer start writes."""
        claims.check(self._store, self._claim)
        line = {"kind": kind, "step": step}
        for name, value in values.items():
            # JSON knows no infinity, which the gradient's norm is at a float16 overflow.
            infinite = isinstance(value, float) and not math.isfinite(value)
            line[name] = None if infinite else value
        self._store.append(_LINES, (json.dumps(line) + "\n").encode())
        self._to_board(line)
        self._board.flush()

    def _parse(self, number: int, line: bytes) -> dict:
        try:
            parsed = json.loads(line)
            return {**parsed, "kind": parsed["kind"], "step": int(parsed["step"])}
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"workdir: {self._store.url}/{_LINES}, line {number}: no JSON object with 'kind' "
                "and 'step'; mend or remove the line"
            ) from error

    def close(self) -> None:
        """Ends TensorBoard's file."""
        if self._board:
            self._board.close()

    def _to_board(self, line: Mapping) -> None:
        with self._board.as_default(step=line["step"]):
            for name, value in line.items():
                if isinstance(value, (int, float)) and name != "step":
                    tf.summary.scalar(f"{line['kind']}/{name}", value)
