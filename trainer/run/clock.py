"""Where the time of a run goes: wall time by cause, rates, and times in words.

clock = Clock()
with clock.timed("evaluation"): ...
clock.fractions()                # {"training": 0.93, "start": 0.04, ...}

rate = Rate()
rate.add(reviews=64, tokens=14_000, seconds=0.125)
rate.values()                    # {"reviews_per_second": 512.0, "tokens_per_second": 112000.0}

in_words(200.0)                  # "3 min 20 s"
"""

import contextlib
import time
from collections.abc import Callable, Iterator


class Clock:
    """Wall time of a process by cause; the fraction of `training` is the goodput."""

    def __init__(self, now: Callable[[], float] = time.monotonic, started: float | None = None):
        self._now = now
        self._started = now() if started is None else started
        self.seconds: dict[str, float] = {}

    def end_start(self) -> None:
        """Counts all time so far as `start`."""
        self.seconds = {"start": self._now() - self._started, "training": 0.0}

    @contextlib.contextmanager
    def timed(self, cause: str) -> Iterator[None]:
        """Counts the time that the block takes as `cause`."""
        begin = self._now()
        try:
            yield
        finally:
            self.add(cause, self._now() - begin)

    def add(self, cause: str, seconds: float) -> None:
        """Counts time that was measured elsewhere."""
        self.seconds[cause] = self.seconds.get(cause, 0.0) + seconds

    def move(self, source: str, target: str, seconds: float) -> None:
        """Counts as `target` what was counted as `source`."""
        self.add(source, -seconds)
        self.add(target, seconds)

    def wall(self) -> float:
        """Returns the seconds since the process started."""
        return self._now() - self._started

    def fractions(self) -> dict[str, float]:
        """Returns the fraction of the wall time by cause, `other` for time without a cause."""
        wall = self.wall()
        fractions = {cause: seconds / wall for cause, seconds in self.seconds.items()}
        return {**fractions, "other": 1.0 - sum(fractions.values())}


class Rate:
    """Reviews and tokens per second, padding left out."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Starts to count at 0 again."""
        self._reviews, self._tokens, self._seconds = 0, 0, 0.0

    def add(self, reviews: int, tokens: int, seconds: float) -> None:
        """Counts a step's reviews and tokens, and how long it took."""
        self._reviews += reviews
        self._tokens += tokens
        self._seconds += seconds

    def values(self) -> dict[str, float]:
        """Returns the rates since the last restart."""
        elapsed = max(self._seconds, 1e-9)
        return {
            "reviews_per_second": self._reviews / elapsed,
            "tokens_per_second": float(self._tokens / elapsed),
        }


def in_words(seconds: float) -> str:
    """Returns a time in its two largest units: "45 s", "3 min 20 s", "2 h 5 min", "3 d 4 h"."""
    whole = round(seconds)
    days, hours, minutes = whole // 86_400, whole // 3600 % 24, whole // 60 % 60
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (whole % 60, "s")]
    first = next((place for place, (number, _) in enumerate(parts) if number), 3)
    return (
        " ".join(f"{number} {unit}" for number, unit in parts[first : first + 2] if number) or "0 s"
    )
