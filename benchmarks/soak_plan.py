"""Chooses at random what happens in a soak test: when each start is killed, which requests fail.

for kill in plan(20, last_step=400, generator=random.Random(0)): ...
server.choose = RandomFaults(0.03, random.Random(0)).choose
"""

import collections
import dataclasses
import random
import signal

from tests.fakes.gcs_faults import Fault

_FAULTS = ("429", "503", "reset", "truncate", "drop", "slow", "corrupt")
_SLOW_SECONDS = 0.2
# Each moment with its relative frequency, and the longest pause in seconds from it to the signal.
_MOMENTS = {
    "command": (1, 6.0),  # imports, and reading what the workdir holds
    "first write": (2, 0.5),  # covers the claim, and much of the resumption
    "step": (4, 0.5),  # covers a few calls of several steps each
    "upload": (3, 0.02),  # of a checkpoint's files
}
_TERM_EVERY = 10  # signals
_LAST_TARGET = 0.9  # fraction of the run: the last signal also comes before the run's end


@dataclasses.dataclass(frozen=True)
class Kill:
    """The signal that one start of the run gets, and when."""

    number: int
    signal: signal.Signals
    moment: str
    pause: float  # seconds
    target: int  # step; for the moments that have one

    def __str__(self) -> str:
        moment = (
            f"{self.moment} {self.target}" if self.moment in ("step", "upload") else self.moment
        )
        return f"{self.number}: {self.signal.name}, {self.pause:.3f} s after {moment}"


def plan(kills: int, last_step: int, generator: random.Random) -> list[Kill]:
    """Plans `kills` kills: their targets are in equal parts of the run, one in each."""
    part = _LAST_TARGET * last_step / kills
    planned = []
    for number in range(1, kills + 1):
        term = number % _TERM_EVERY == 0
        # A SIGTERM before the trainer listens ends Python with another exit code.
        moments = [moment for moment in _MOMENTS if not (term and moment == "command")]
        weights = [_MOMENTS[moment][0] for moment in moments]
        moment = generator.choices(moments, weights)[0]
        planned.append(
            Kill(
                number=number,
                signal=signal.SIGTERM if term else signal.SIGKILL,
                moment=moment,
                pause=generator.uniform(0.0, _MOMENTS[moment][1]),
                target=int(part * (number - 1 + generator.random())),
            )
        )
    return planned


class RandomFaults:
    """Chooses at random which requests fail, and counts the faults by kind."""

    def __init__(self, rate: float, generator: random.Random):
        self._rate = rate
        self._generator = generator
        self.counts = collections.Counter[str]()

    def choose(self, operation: str, name: str) -> Fault | None:
        """Returns the fault of a request, or None for most requests."""
        if self._generator.random() >= self._rate:
            return None
        with_data = operation in ("insert", "chunk", "download")
        kind = self._generator.choice([k for k in _FAULTS if with_data or k != "corrupt"])
        self.counts[kind] += 1
        return Fault(kind, seconds=_SLOW_SECONDS)
