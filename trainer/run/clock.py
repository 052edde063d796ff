"""What goes on beside the training: where the time goes, and what the terminal shows.

clock = Clock()
with clock.timed("evaluation"): ...
clock.shares()                   # {"training": 0.93, "start": 0.04, ...}

bar = ProgressBar(epoch=1, epochs=10, steps=360, first_step=0)
bar.advance(reviews=64, tokens=14_000, loss=0.43)
"""

import contextlib
import time
from collections.abc import Callable, Iterator

from tqdm import tqdm


class Clock:
    """Wall time of a process by cause; the share of `training` is the goodput."""

    def __init__(self, now: Callable[[], float] = time.monotonic, started: float | None = None):
        self._now = now
        self._started = now() if started is None else started
        self.seconds: dict[str, float] = {}

    def end_start(self) -> None:
        """Counts all time so far for `start`."""
        self.seconds = {"start": self._now() - self._started, "training": 0.0}

    @contextlib.contextmanager
    def timed(self, cause: str) -> Iterator[None]:
        """Counts what runs inside for `cause`."""
        begin = self._now()
        try:
            yield
        finally:
            self.add(cause, self._now() - begin)

    def add(self, cause: str, seconds: float) -> None:
        """Counts time that was measured elsewhere."""
        self.seconds[cause] = self.seconds.get(cause, 0.0) + seconds

    def move(self, source: str, target: str, seconds: float) -> None:
        """Counts for `target` what was counted for `source`."""
        self.add(source, -seconds)
        self.add(target, seconds)

    def shares(self) -> dict[str, float]:
        """Share of the wall time by cause, `other` for what no cause was given for."""
        wall = self._now() - self._started
        shares = {cause: seconds / wall for cause, seconds in self.seconds.items()}
        return {**shares, "other": 1.0 - sum(shares.values())}


class Rate:
    """Reviews and real tokens per second."""

    def __init__(self, now: Callable[[], float] = time.monotonic):
        self._now = now
        self.restart()

    def restart(self) -> None:
        """Counts anew from here on."""
        self._begin, self._reviews, self._tokens = self._now(), 0.0, 0

    def add(self, reviews: float, tokens: int) -> None:
        """Counts a step; `tokens` are real ones, without padding."""
        self._reviews += reviews
        self._tokens += tokens

    def values(self) -> dict[str, float]:
        """The rates since the start."""
        elapsed = max(self._now() - self._begin, 1e-9)
        return {
            "reviews_per_second": self._reviews / elapsed,
            "tokens_per_second": float(self._tokens / elapsed),
        }


class ProgressBar:
    """A bar over the steps of one epoch; nothing shows where standard error is no terminal."""

    def __init__(self, epoch: int, epochs: int, steps: int, first_step: int):
        self._rate = Rate()
        self._bar = tqdm(
            desc=f"Epoch {epoch}/{epochs}",
            total=steps,
            initial=first_step,
            disable=None,
            leave=False,
            dynamic_ncols=True,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {n}/{total} [{remaining} left{postfix}]",
        )

    def advance(self, reviews: float, tokens: int, loss: float) -> None:
        """Moves on by a step; `loss` is the mean so far."""
        self._rate.add(reviews, tokens)
        if self._bar.disable:
            return
        rates = self._rate.values()
        self._bar.set_postfix_str(
            f"{rates['reviews_per_second']:,.0f} reviews/s, "
            f"{rates['tokens_per_second']:,.0f} tokens/s, loss {loss:.3f}",
            refresh=False,
        )
        self._bar.update()

    def close(self) -> None:
        """Clears the bar."""
        self._bar.close()
