"""The progress of a prediction in bulk: a bar on a terminal, elsewhere a line every half minute.

with contextlib.closing(RowsBar(total=25_000, done=0)) as bar:
    bar.advance(4096)
"""

import time
from collections.abc import Callable

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from trainer.run import terminal
from trainer.run.clock import in_words

_SECONDS_BETWEEN_LINES = 30.0


class RowsBar:
    """Shows how many rows are predicted, the rate and the time left."""

    def __init__(self, total: int, done: int, now: Callable[[], float] = time.monotonic):
        self._total, self._first, self._done = total, done, done
        self._now = now
        self._started = self._shown = now()
        self._bar = Progress(
            TextColumn("Predicting"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            console=terminal.console(),
            transient=True,
            expand=True,
            disable=terminal.is_quiet() or not terminal.console().is_terminal,
        )
        self._task = self._bar.add_task("", total=total, completed=done, state="")
        self._bar.start()

    def advance(self, rows: int) -> None:
        """Moves on by a number of rows."""
        self._done += rows
        if not self._bar.disable:
            self._bar.update(self._task, completed=self._done, state=self._state())
        elif self._now() - self._shown >= _SECONDS_BETWEEN_LINES:
            self._shown = self._now()
            terminal.say(f"  Predicted {self._done:,} of {self._total:,} rows: {self._state()}")

    def rate(self) -> float:
        """Returns the rows per second of this process."""
        return (self._done - self._first) / max(self._now() - self._started, 1e-9)

    def close(self) -> None:
        """Clears the bar."""
        self._bar.stop()

    def _state(self) -> str:
        left = (self._total - self._done) / max(self.rate(), 1e-9)
        return f"{self.rate():,.0f} rows/s, {in_words(left)} left"
