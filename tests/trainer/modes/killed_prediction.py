"""Runs the trainer with small windows of texts and kills it at the n-th call of a certain function.

    python -m tests.trainer.modes.killed_prediction window 3 --mode=predict --input=a.csv ...

`window` is one of PLACES: this command is killed when a third of a window's rows are written.
"""

import functools
import os
import signal
import sys

from storage.local import LocalLog, LocalStore
from trainer import main
from trainer.modes import predict_file
from trainer.run.bulk.csv_table import _Rows
from trainer.run.bulk.partial import Partial
from trainer.run.bulk.windows import windows

WINDOW = 16


def _written_in_part(log, data):
    log._file.write(data[: len(data) // 3])


def _nothing(*_):
    pass


# Place -> the owner and the name of a function, and what is still done of its last call.
PLACES = {
    "window": (LocalLog, "_write", _written_in_part),
    "row": (_Rows, "write", _nothing),  # of the output, the header first
    "written": (LocalStore, "upload", _nothing),  # before the output gets its name
    "named": (Partial, "_empty", _nothing),
}


def small_windows() -> None:
    """Makes all windows small, so that there are many."""
    predict_file.windows = functools.partial(windows, most=WINDOW)


def kill_at(place: str, number: int) -> None:
    """Replaces the function at `place` with one that kills the process at its `number`-th call."""
    owner, name, last = PLACES[place]
    function, calls = getattr(owner, name), 0

    def counted(*args):
        nonlocal calls
        calls += 1
        if calls == number:
            last(*args)
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args)

    setattr(owner, name, counted)


if __name__ == "__main__":
    small_windows()
    kill_at(sys.argv[1], int(sys.argv[2]))
    del sys.argv[1:3]
    main.run()
