"""Ends the process at once on Ctrl-C and SIGTERM, while there is nothing to save.

    early_signals.listen()      # before slow imports, which an exception must not interrupt

    early_signals.leave()       # to KeyboardInterrupt, once that is expected

In the trainer `preemption.StopRequests` takes the signals over while a mode runs. Imports little,
so that the process can listen as early as possible.
"""

import contextlib
import fcntl
import os
import signal
from types import FrameType

from storage.exit_codes import RUN_AGAIN

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_messages = 2  # the descriptor of standard error


def listen() -> None:
    """Sets the signal handlers."""
    global _messages
    for number in SIGNALS:
        signal.signal(number, stop_at_once)
    with contextlib.suppress(OSError):  # standard error is closed
        # A copy: startup_messages.py holds back what is written to the original. Above the numbers
        # of the standard streams, one of which may be closed.
        _messages = fcntl.fcntl(_messages, fcntl.F_DUPFD_CLOEXEC, 3)


def leave() -> None:
    """Lets Ctrl-C, SIGTERM and the end of the terminal raise KeyboardInterrupt, to clean up first.

    A process that nohup has started keeps ignoring the end of the terminal.
    """
    for number in (*SIGNALS, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def stop_at_once(number: int, frame: FrameType | None) -> None:
    """Handles a signal: exits with RUN_AGAIN, without any clean-up."""
    try:
        os.write(_messages, b"Stopped; run the same command again.\n")
    finally:
        os._exit(RUN_AGAIN)
