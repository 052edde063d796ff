"""The interface of a mode: each module of this folder has `run(call)`.

def run(call: Call) -> None: ...
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
    to: str  # where `export` writes; "" for the workdir
    started: float  # when the process started, by time.monotonic
