"""What a mode is given: the flags of the command line, resolved.

def run(call: Call) -> None: ...        # in each module of trainer/modes
"""

from collections.abc import Sequence
from typing import NamedTuple

import ml_collections

from storage.store import Store
from trainer.machines.preemption import StopRequests


class Call(NamedTuple):
    """One command; a flag that the mode doesn't take has its default."""

    store: Store  # the workdir
    config: ml_collections.ConfigDict | None  # checked; None where the mode can do without
    checkpoint: str  # 'best', 'last' or a step
    texts: Sequence[str]  # reviews given as flags
    stop: StopRequests
    started: float  # when the process started, by time.monotonic
