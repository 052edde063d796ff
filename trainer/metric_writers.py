"""Where metrics are written: one interface, `write(kind, step, values)`.

    writer = MetricWriter(store)
    writer.rewind(to_step=400)                    # on resume
    writer.write("train", 450, {"loss": 0.41})

`metrics.jsonl` has one JSON object a line, unique by `kind` and `step`; TensorBoard's files are a
view of it, made anew on resume.
"""

import json
import math
from collections.abc import Mapping

import tensorflow as tf

from storage.store import Store

_LINES = "metrics.jsonl"
_TENSORBOARD = "tensorboard"


class MetricWriter:
    """Writes the metrics of a run into its workdir, each line as it comes."""

    def __init__(self, store: Store):
        self._store = store
        self._board: tf.summary.SummaryWriter | None = None

    def rewind(self, to_step: int) -> None:
        """Drops what lies behind `to_step`, and tests, which come after the last step."""
        lines = []
        if self._store.exists(_LINES):
            # A line that was cut short has no end and belongs to a step that comes again.
            whole = self._store.read(_LINES).decode().rpartition("\n")[0].splitlines()
            lines = [json.loads(line) for line in whole]
        lines = [line for line in lines if line["step"] <= to_step and line["kind"] != "test"]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        self._store.write(_LINES, text.encode())
        for name in self._store.list(f"{_TENSORBOARD}/"):
            self._store.delete(name)
        self._board = tf.summary.create_file_writer(str(self._store.local_folder(_TENSORBOARD)))
        for line in lines:
            self._to_board(line)

    def write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Adds a line and flushes it; only after `rewind`."""
        line = {"kind": kind, "step": step}
        for name, value in values.items():
            # JSON knows no infinity, which the gradient's norm is at a float16 overflow.
            infinite = isinstance(value, float) and not math.isfinite(value)
            line[name] = None if infinite else value
        self._store.append(_LINES, (json.dumps(line) + "\n").encode())
        self._to_board(line)
        self._board.flush()

    def close(self) -> None:
        """Ends TensorBoard's file."""
        if self._board:
            self._board.close()

    def _to_board(self, line: Mapping) -> None:
        with self._board.as_default(step=line["step"]):
            for name, value in line.items():
                if isinstance(value, (int, float)) and name != "step":
                    tf.summary.scalar(f"{line['kind']}/{name}", value)
