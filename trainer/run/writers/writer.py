"""What a writer of metrics does, and what can accompany a line of metrics.

    writer.write("validation", 782, {"loss": 0.31}, [Text("reviews", "| review | label | ...")])
    writer.close(seconds=20, finished=False)        # a stopped run, which will be resumed

A line of metrics has a kind, one of KINDS, and a step; no two lines of a run have the same pair.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

KINDS = ("train", "validation", "epoch", "test")
_ORIGIN = {"step", "start", "seconds"}  # fields of a line that say where it is from


class Text(NamedTuple):
    """A text in Markdown."""

    tag: str
    markdown: str


class Histogram(NamedTuple):
    """Counts of values in buckets."""

    tag: str
    edges: np.ndarray  # <float>[buckets + 1]
    counts: np.ndarray  # <int>[buckets]


class Embedding(NamedTuple):
    """Vectors of tokens."""

    tokens: Sequence[str]
    vectors: np.ndarray  # <float32>[tokens, size]


Extra = Text | Histogram | Embedding


class Writer(Protocol):
    """A place where metrics are written. Its methods raise UserError when that fails."""

    def write(
        self, kind: str, step: int, values: Mapping[str, Any], extras: Sequence[Extra] = ()
    ) -> None:
        """Adds a line, and what accompanies it where the writer can show that.

        A no-op once a newer process writes here.
        """

    def close(self, seconds: float | None = None, finished: bool = True) -> None:
        """Waits up to `seconds` until everything is written.

        `finished` says that the run is complete; otherwise it will be resumed.
        """


class NoWriter:
    """The writer of a worker that is not the chief: the chief writes the same numbers."""

    lines = b""

    def write(
        self, kind: str, step: int, values: Mapping[str, Any], extras: Sequence[Extra] = ()
    ) -> None:
        """Does nothing."""

    def close(self, seconds: float | None = None, finished: bool = True) -> None:
        """Does nothing."""


def numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """Returns the metrics of a line: those of its values that are finite numbers."""
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, (int, float)) and math.isfinite(value) and name not in _ORIGIN
    }


def countdown(seconds: float | None) -> Callable[[], float | None]:
    """Returns a function that tells how many of `seconds` are left, None when they never end."""
    if seconds is None:
        return lambda: None
    end = time.monotonic() + seconds
    return lambda: max(0.0, end - time.monotonic())
