"""Runs the trainer and sends it a signal when it reaches a place for the n-th time.

    python -m tests.killed SIGKILL save 3 --config=configs/sample.py --workdir=runs/sample

The places are the keys of PLACES.
"""

import os
import signal
import sys
from collections.abc import Callable

from trainer import main
from trainer.learning import scorer
from trainer.modes import train
from trainer.run import checkpoints, start

# Where a run can be hit: the owner and the name of the function.
PLACES = {
    "start": (start, "load_training_data"),
    "step": (train, "_call"),
    "save": (checkpoints.Checkpoints, "_upload"),  # between the files of a checkpoint
    "manifest": (checkpoints.Checkpoints, "retire"),  # right after a manifest
    "evaluation": (scorer.Scorer, "__call__"),
}


def kill_at(signal_name: str, place: str, number: int) -> None:
    """Arms the place."""
    owner, name = PLACES[place]
    function, calls = getattr(owner, name), 0

    def counted(*args, **kwargs) -> Callable:
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
