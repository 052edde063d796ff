"""Where metrics are written: one interface, `write(kind, step, values)`.

    writer = MetricWriter(store, claim, b"", "tensorboard")     # or the lines of a checkpoint
    writer.write("train", 450, {"loss": 0.41})
    writer.lines                                        # all so far, for the next checkpoint
    writer.close()

`metrics.jsonl` has one JSON object a line, unique by `kind` and `step`. TensorBoard's file holds
the same numbers and is written again on resume.
"""

import io
import json
import time
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from tensorboard.summary.writer.record_writer import RecordWriter

from storage.claims import Claim
from storage.store import Store
from trainer.learning.metrics import finite_or_none

_LINES = "metrics.jsonl"
_EVENTS = "events.out.tfevents."  # TensorBoard knows its files by this

# TensorFlow's own protos, which tf.summary writes only to files.
_Event, _Summary = tf.compat.v1.Event, tf.compat.v1.Summary


class MetricWriter:
    """Takes over the metrics of a workdir, cut back to `lines`, for the process of `claim`."""

    def __init__(self, store: Store, claim: Claim, lines: bytes, board: str):
        """`board` is the workdir's folder for TensorBoard."""
        self.lines = bytearray(lines)
        self._file = store.open_log(_LINES, lines, claim.check)
        name = f"{board}/{_EVENTS}{claim.number:06}"
        for older in store.list(f"{board}/{_EVENTS}"):
            if older < name:
                store.delete(older)
        events = [_event(wall_time=time.time(), file_version="brain.Event:2")]
        events += [_scalars(json.loads(line)) for line in lines.splitlines()]
        self._board = store.open_log(name, b"".join(events), claim.check)

    def write(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Adds a line and flushes it; a no-op once a newer process writes here."""
        # The gradient's norm is infinite at a float16 overflow.
        line = {"kind": kind, "step": step, **finite_or_none(values)}
        text = (json.dumps(line) + "\n").encode()
        self.lines += text
        self._file.append(text)
        self._board.append(_scalars(line))

    def close(self, seconds: float | None = None) -> None:
        """Waits up to `seconds` for each file until the store has all; UserError if it fails."""
        try:
            self._file.close(seconds)
        finally:
            self._board.close(seconds)


class NoWriter:
    """The writer of a worker that is not the chief: the chief writes the same numbers."""

    lines = b""

    def write(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Does nothing."""

    def close(self, seconds: float | None = None) -> None:
        """Does nothing."""


def _scalars(line: Mapping[str, Any]) -> bytes:
    """Returns a line's numbers as an event of TensorBoard."""
    scalars = [
        _Summary.Value(tag=f"{line['kind']}/{name}", simple_value=value)
        for name, value in line.items()
        if isinstance(value, (int, float)) and name != "step"
    ]
    return _event(wall_time=time.time(), step=line["step"], summary=_Summary(value=scalars))


def _event(**fields: Any) -> bytes:
    record = io.BytesIO()
    RecordWriter(record).write(_Event(**fields).SerializeToString())
    return record.getvalue()
