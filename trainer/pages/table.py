"""Tables of a page: cells that are shown as text and sorted by a number.

table = Table(["epoch", "loss"], [[count(1), number(0.693)], [count(2), number(0.412)]])
{{ table_of(table) }}                    # in a template that imports it from macros.html
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from trainer.run.clock import in_words

NOTHING = "-"  # in the place of a number that is not there


class Cell(NamedTuple):
    """What a cell shows."""

    text: str
    value: float | None = None  # of a number, to sort by; None in a cell of text


class Table(NamedTuple):
    """A table with one heading a column."""

    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    @property
    def numeric(self) -> list[bool]:
        """Returns for each column whether its cells are numbers."""
        columns = zip(*self.rows, strict=True) if self.rows else [()] * len(self.headings)
        return [any(cell.value is not None for cell in column) for column in columns]


def number(value: float, digits: int = 3, signed: bool = False) -> Cell:
    """Returns a cell with decimals, for small numbers with as many significant digits."""
    if not math.isfinite(value):
        return Cell(NOTHING, math.nan)
    small = 0 < abs(value) < 10**-digits
    sign = "+" if signed else ""
    return Cell(f"{value:{sign}.{digits}{'g' if small else 'f'}}", value)


def count(value: float) -> Cell:
    """Returns a cell with a whole number."""
    return Cell(f"{value:,.0f}" if math.isfinite(value) else NOTHING, value)


def percent(value: float, digits: int = 1) -> Cell:
    """Returns a cell with a fraction as per cent."""
    return Cell(f"{value:.{digits}%}" if math.isfinite(value) else NOTHING, value)


def duration(seconds: float) -> Cell:
    """Returns a cell with a time in seconds, such as "3 min 40 s"."""
    return Cell(in_words(seconds) if math.isfinite(seconds) else NOTHING, seconds)
