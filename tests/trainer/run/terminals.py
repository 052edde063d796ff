"""Gives tests a standard output of their choice: a pseudo-terminal or a pipe."""

import contextlib
import os
import pty
import subprocess
import sys

from trainer.run import terminal


class Screen:
    """What was printed; complete once the block of `standard_output` has ended."""

    text = ""


@contextlib.contextmanager
def standard_output(monkeypatch, *, is_terminal, columns=80, **environment):
    """Replaces standard output by a new one for the block, with these variables set."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    terminal_of = {"TERM": "xterm-256color", "COLUMNS": str(columns)}
    for name, value in {**terminal_of, **environment}.items():
        monkeypatch.setenv(name, value)
    reader, writer = pty.openpty() if is_terminal else os.pipe()
    monkeypatch.setattr(terminal._Output, "quiet", False)
    screen = Screen()
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, reader)
        stream = stack.enter_context(os.fdopen(writer, "w"))
        monkeypatch.setattr(sys, "stdout", stream)
        terminal.console.cache_clear()
        try:
            yield screen
        finally:
            stream.flush()
            screen.text = _read(reader)
            monkeypatch.setattr(sys, "stdout", sys.__stdout__)
            terminal.console.cache_clear()


def run_on_terminal(command, **environment):
    """Runs a command on a terminal of its own; returns its exit code and all that it wrote."""
    reader, writer = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **environment}
    with subprocess.Popen(
        command, stdin=writer, stdout=writer, stderr=writer, env=environment
    ) as process:
        os.close(writer)
        parts = []
        with contextlib.suppress(OSError):  # the other end is closed
            while part := os.read(reader, 65_536):
                parts.append(part)
    os.close(reader)
    return process.returncode, b"".join(parts).decode().replace("\r\n", "\n")


def _read(reader):
    """Returns what a descriptor holds, with the line ends that a program wrote."""
    os.set_blocking(reader, False)
    parts = []
    with contextlib.suppress(BlockingIOError):
        while part := os.read(reader, 65_536):
            parts.append(part)
    return b"".join(parts).decode().replace("\r\n", "\n")
