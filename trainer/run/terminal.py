"""Prints what a user sees: coloured where standard output is a terminal, plain lines elsewhere.

    terminal.be_quiet()                                   # --quiet: results only
    terminal.say("Devices: 1 replica (default)")          # how the work goes
    terminal.show({"Labels": "...", "Memory": "..."})     # facts, a line each
    terminal.result("Test Accuracy: 0.888")               # what the command was asked for

rich finds out what is a terminal and which colours it has, so NO_COLOR, TERM=dumb and FORCE_COLOR
do what they usually do. A line has the same text in both places; only the facts of `show` are
aligned and wrapped on a terminal.
"""

import functools
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

_NAME, _RESULT = "bold", "bold green"  # legible on dark and on light terminals
_NUMBERS = {r"(?<![\w/.=-])\d+(?:[,./]\d+)*%?(?![\w/-])": "cyan"}
_STYLES = {r"^ *[A-Z][\w ]*:": _NAME, **_NUMBERS}


class _Output:
    """What was asked of the output."""

    quiet = False


class _Console(Console):
    """A console that leaves the cursor visible: a process that is killed could not restore it."""

    def show_cursor(self, show: bool = True) -> bool:
        return False


@functools.cache
def console() -> Console:
    """Returns the console of standard output, whichever stream that is at the time of printing."""
    return _Console(highlight=False)


def be_quiet() -> None:
    """Leaves out everything but results from here on; errors and warnings are not printed here."""
    _Output.quiet = True


def is_quiet() -> bool:
    """Returns True when only results are printed."""
    return _Output.quiet


def say(line: str) -> None:
    """Prints a line that reports on the work; a no-op when only results are asked for."""
    if not _Output.quiet:
        _print(line, _STYLES)


def result(line: str) -> None:
    """Prints a line that the command was asked for."""
    _print(line, {".*": _RESULT})


def show(facts: Mapping[str, str]) -> None:
    """Says facts by their names: a line each, or on a terminal a row of a table."""
    if not console().is_terminal:
        for name, fact in facts.items():
            say(f"{name}: {fact}")
    elif not _Output.quiet:
        table = Table.grid(padding=(0, 1))
        table.add_column(style=_NAME)
        table.add_column(overflow="fold")
        for name, fact in facts.items():
            table.add_row(f"{name}:", _styled(fact, _NUMBERS))
        console().print(table)


def _print(line: str, styles: Mapping[str, str]) -> None:
    if not console().is_terminal:
        print(line, flush=True)
        return
    # Soft: the terminal breaks the line, so that a path or command can be copied whole.
    console().print(_styled(line, styles), soft_wrap=True)


def _styled(line: str, styles: Mapping[str, str]) -> Text:
    text = Text(line)
    for pattern, style in styles.items():
        text.highlight_regex(pattern, style)
    return text
