"""Guards a process's standard streams against being closed, broken or on a full disk.

    standard_streams.guard()                     # before the process opens files
    standard_streams.make_output_optional()      # the output only reports on the work
    standard_streams.finish(exit_code)           # as the last thing

By default the output is what the command was asked for. The first write that fails then ends the
command: with DONE when the reader has enough, as `head` does, and otherwise with FAILED and one
line on standard error. An optional output is lost with one warning, and the command goes on.
A write to standard error never fails: there is no other place to report it.
"""

import errno
import io
import os
import select
import sys
from collections.abc import Callable
from typing import Any, TextIO

from storage.exit_codes import DONE

_NULL_MODES = (os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)  # by descriptor; see `_reserve`


class _Output:
    """What is known about standard output."""

    optional = False
    lost = False
    errors: TextIO | None = None  # standard error, also while something has replaced `sys.stderr`


class _Guarded(io.FileIO):
    """A descriptor for writing; a write that fails calls `on_failure` and drops its bytes."""

    def __init__(self, descriptor: int, on_failure: Callable[[OSError], None]):
        super().__init__(descriptor, "w", closefd=False)
        self._on_failure = on_failure

    def write(self, data: Any) -> int:
        """Writes bytes; returns how many were written or dropped."""
        try:
            while (written := super().write(data)) is None:  # a full pipe that doesn't block
                select.select([], [self], [])
        except OSError as error:
            self._on_failure(error)
            return memoryview(data).nbytes
        return written


def guard() -> None:
    """Reserves the descriptors 0 to 2 and guards standard output and standard error.

    Standard output is UTF-8 from here on. Streams that something has replaced stay as they are.
    """
    for descriptor in range(3):
        _reserve(descriptor)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stdout is sys.__stdout__:
        sys.stdout = _wrapped(sys.stdout, 1, _on_lost_output)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _wrapped(sys.stderr, 2, lambda error: None)
    _Output.errors = sys.stderr


def make_output_optional() -> None:
    """Lets the command go on when standard output is lost."""
    _Output.optional = True


def finish(exit_code: Any) -> None:
    """Writes what standard output still holds; exits when that fails and `exit_code` is DONE.

    `exit_code` is as for sys.exit.
    """
    if exit_code:  # which a lost output must not change
        _Output.lost = True
    sys.stdout.flush()


def _reserve(descriptor: int) -> None:
    """Opens the null device on a closed descriptor, so that no other file gets its number.

    On that of standard output it is opened for reading: what is written there fails.
    """
    try:
        os.fstat(descriptor)
    except OSError:
        # The lowest free number is taken, and those below are open.
        os.open(os.devnull, _NULL_MODES[descriptor])


def _wrapped(stream: TextIO | None, number: int, on_failure: Callable[[OSError], None]) -> TextIO:
    """Returns a guarded text stream that buffers as `stream` does; None is a closed one."""
    if stream is not None:
        stream.flush()
    buffered = io.BufferedWriter(_Guarded(number, on_failure))
    return io.TextIOWrapper(
        buffered,
        encoding="utf-8",
        errors="backslashreplace",  # such as a file name that is not UTF-8
        line_buffering=number == 2 or buffered.raw.isatty(),
        write_through=isinstance(stream, io.TextIOWrapper) and stream.write_through,
    )


def _on_lost_output(error: OSError) -> None:
    """Ends the command, or warns when the output is optional; at the first failure only."""
    if _Output.lost:
        return
    _Output.lost = True
    reason = "closed" if error.errno == errno.EBADF else error.strerror
    if _Output.optional:
        warning = f"WARNING: standard output is lost ({reason}); going on without it"
        # A progress bar's `sys.stderr` writes to standard output.
        print(warning, file=_Output.errors)
    elif isinstance(error, BrokenPipeError):
        sys.exit(DONE)
    else:
        sys.exit(f"error: standard output can't be written ({reason}); give it another place")
