"""The progress of an epoch: a bar on a terminal, elsewhere a line every half minute.

    bar = ProgressBar(epoch=1, epochs=10, steps=360, first_step=0, time_left=time_left)
    bar.advance(reviews=64, tokens=14_000, seconds=0.12, loss=0.43)
    bar.close()

Both show the mean loss so far, the rate, and the time left to the end of the run.
"""

import time
from collections.abc import Callable

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from trainer.run import terminal
from trainer.run.clock import Rate, in_words
from trainer.run.time_left import TimeLeft

_SECONDS_BETWEEN_LINES = 30.0
_REFRESHES_PER_SECOND = 2  # by a thread that takes its time from the training


class ProgressBar:
    """Shows the steps of one epoch; nothing when only results are asked for."""

    def __init__(
        self,
        epoch: int,
        epochs: int,
        steps: int,
        first_step: int,
        time_left: TimeLeft,
        work: float,
        now: Callable[[], float] = time.monotonic,
    ):
        """`work` is that of the objective."""
        self._work = work
        self._name, self._steps, self._step = f"{epoch}/{epochs}", steps, first_step
        self._time_left, self._now = time_left, now
        self._rate, self._shown = Rate(), now()
        self._bar = Progress(
            TextColumn("Epoch: {task.description}"),
            BarColumn(
                bar_width=None, style="bright_black", complete_style="green", finished_style="green"
            ),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            console=terminal.console(),
            refresh_per_second=_REFRESHES_PER_SECOND,
            transient=True,
            expand=True,
            disable=terminal.is_quiet() or not terminal.console().is_terminal,
        )
        self._task = self._bar.add_task(self._name, total=steps, completed=first_step, state="")
        self._bar.start()

    def advance(self, reviews: int, tokens: int, seconds: float, loss: float) -> None:
        """Moves on by a step that took `seconds`; `loss` is the mean so far."""
        self._rate.add(reviews, tokens, seconds)
        self._step += 1
        self._time_left.advance(tokens, self._work)
        tokens_per_second = f"{self._rate.values()['tokens_per_second']:,.0f} tokens/s"
        if not self._bar.disable:
            state = f"loss {loss:.3f}, {tokens_per_second}{self._left()}"
            self._bar.update(self._task, completed=self._step, state=state)
        elif self._now() - self._shown >= _SECONDS_BETWEEN_LINES:
            self._shown = self._now()
            reviews_per_second = f"{self._rate.values()['reviews_per_second']:,.0f} reviews/s"
            terminal.say(
                f"  Step {self._step}/{self._steps} of epoch {self._name}: loss {loss:.3f}, "
                f"{reviews_per_second}, {tokens_per_second}{self._left()}"
            )

    def close(self) -> None:
        """Clears the bar."""
        self._bar.stop()

    def _left(self) -> str:
        seconds = self._time_left.seconds()
        return "" if seconds is None else f", {in_words(seconds)} left"
