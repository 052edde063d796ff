"""Runs the trainer and sends it a signal at the n-th call of a certain function.

    python -m tests.killed SIGKILL save 3 --config=configs/sample.py --workdir=runs/sample

`save` is one of PLACES. This command kills the trainer at the third call of its function.
"""

import os
import signal
import sys
from typing import Any

from trainer import main
from trainer.learning import scorer
from trainer.run import checkpoints, epoch, start

# Place -> the owner and the name of the function whose call sends the signal.
PLACES = {
    "start": (start, "load_training_data"),
    "step": (epoch, "_call"),
    "save": (checkpoints.Checkpoints, "_upload"),  # before each file of a checkpoint
    "manifest": (checkpoints.Checkpoints, "retire"),  # right after a manifest
    "evaluation": (scorer.Scorer, "__call__"),
}


def kill_at(signal_name: str, place: str, number: int) -> None:
    """Replaces the function at `place` with one that sends the signal at its `number`-th call."""
    owner, name = PLACES[place]
    function, calls = getattr(owner, name), 0

    def counted(*args, **kwargs) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            os.kill(os.getpid(), signal.Signals[signal_name])
        return function(*args, **kwargs)

    setattr(owner, name, counted)


if __name__ == "__main__":
    kill_at(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    del sys.argv[1:4]
    main.run()
