"""Where the time of a run went: by start of the run and by cause.

    starts = starts_of(record.lines)
    table(starts)                           # a row a start, and their sum
    drawing(starts)                         # None where no line says how long anything took

Work that a killed process did after its last checkpoint left no line, so its time is not here.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from trainer.pages.curves import Drawing
from trainer.pages.figures import FAINT, LINE, SERIES, as_svg, new_figure
from trainer.pages.table import Cell, Table, count, duration, percent
from trainer.run.clock import in_words
from trainer.run.record import Line

_CAUSES = ("training", "compile", "input wait", "evaluation", "checkpoint", "start")
_COLORS = dict(zip(_CAUSES, SERIES, strict=True))
LATER = "after its last epoch"  # time of which no line says the causes
_MOST_BARS = 12


class Start(NamedTuple):
    """One process of the run, by what it has written."""

    number: int | None  # None in lines of earlier versions, which may be of several starts
    first_step: int
    last_step: int
    seconds: float  # wall time up to its last line; nan where the lines don't say
    causes: Mapping[str, float]  # seconds by cause, fractions where the seconds are not known

    @property
    def goodput(self) -> float:
        """Returns the fraction of the time that was training, nan where it is not known."""
        known = sum(value for cause, value in self.causes.items() if cause != LATER)
        return self.causes.get("training", math.nan) / known if known else math.nan


def starts_of(lines: Sequence[Line]) -> list[Start]:
    """Returns the starts that have left lines of training or epochs."""
    own = [line for line in lines if line.kind in ("train", "epoch")]
    groups = itertools.groupby(own, key=lambda line: line.start)
    return [_start(number, list(group)) for number, group in groups]


def restarts(starts: Sequence[Start]) -> list[int]:
    """Returns the steps after which another process went on."""
    return [before.last_step for before, _ in itertools.pairwise(starts)]


def summed(starts: Sequence[Start]) -> Start | None:
    """Returns all starts as one; None when there is none or their seconds are not known."""
    if not starts or not all(math.isfinite(start.seconds) for start in starts):
        return None
    causes = {cause: sum(s.causes.get(cause, 0.0) for s in starts) for cause in causes_of(starts)}
    seconds = sum(start.seconds for start in starts)
    return Start(None, starts[0].first_step, starts[-1].last_step, seconds, causes)


def causes_of(starts: Sequence[Start]) -> list[str]:
    """Returns the causes that took any time, the known ones first and in a fixed order."""
    found = {cause for start in starts for cause, value in start.causes.items() if value}
    known = [cause for cause in _CAUSES if cause in found]
    last = [cause for cause in ("other", LATER) if cause in found]
    return known + sorted(found - {*known, *last}) + last


def named(cause: str) -> str:
    """Returns a cause as a reader understands it beside numbers of starts."""
    return "starting" if cause == "start" else cause


def table(starts: Sequence[Start]) -> Table:
    """Returns a row for each start, and one for their sum when there are several.

    Fractions are of the time whose cause is known.
    """
    causes = [cause for cause in causes_of(starts) if cause not in ("training", LATER)]
    rows = [_row(start, causes) for start in starts]
    total = summed(starts)
    if total and len(starts) > 1:
        rows.append([Cell("sum", math.nan), *_row(total, causes)[1:]])
    heads = ["start", "steps", "time", LATER, "goodput", *map(named, causes)]
    return Table(heads, rows)


def drawing(starts: Sequence[Start]) -> Drawing | None:
    """Draws a bar for each start, or for their sum when there are many.

    The bars are in seconds if all starts say them, otherwise in fractions.
    """
    total = summed(starts)
    shown = [total] if total and len(starts) > _MOST_BARS else starts[:_MOST_BARS]
    if not total:
        shown = [_in_fractions(start) for start in shown]
    if not causes_of(shown):
        return None
    figure, axes = new_figure(5.2, 1.6 + 0.35 * len(shown))
    names = [f"start {start.number}" if start.number else "the run" for start in shown]
    left = [0.0] * len(shown)
    for cause in causes_of(shown):
        widths = [start.causes.get(cause, 0.0) for start in shown]
        axes.barh(names, widths, left=left, color=_color(cause), label=named(cause), height=0.6)
        left = [before + width for before, width in zip(left, widths, strict=True)]
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("seconds" if total else "fraction of the time")
    figure.legend(loc="outside upper left", ncols=3, fontsize=8)
    description = "Time by cause: " + "; ".join(map(_described, names, shown))
    return Drawing("Time by cause", as_svg(figure, description))


def _start(number: int | None, lines: Sequence[Line]) -> Start:
    seconds = max((line.value("seconds") for line in lines), key=lambda s: (s == s, s))
    with_time = [line for line in lines if line.time]
    causes: dict[str, float] = {}
    if with_time:
        last = with_time[-1]
        known = last.value("seconds")
        scale = known if math.isfinite(known) else 1.0
        causes = {cause: max(part, 0.0) * scale for cause, part in last.time.items()}
        if math.isfinite(known) and seconds - known > 1e-9:
            causes[LATER] = seconds - known
    elif math.isfinite(seconds):
        causes = {LATER: seconds}
    return Start(number, lines[0].step, lines[-1].step, seconds, causes)


def _in_fractions(start: Start) -> Start:
    whole = sum(start.causes.values()) or 1.0
    return start._replace(causes={cause: part / whole for cause, part in start.causes.items()})


def _row(start: Start, causes: Sequence[str]) -> list[Cell]:
    known = sum(value for cause, value in start.causes.items() if cause != LATER)
    shares = [start.causes.get(cause, 0.0) / known if known else math.nan for cause in causes]
    return [
        count(start.number or math.nan),
        Cell(f"{start.first_step:,} to {start.last_step:,}", start.first_step),
        duration(start.seconds),
        duration(start.causes.get(LATER, math.nan)),
        percent(start.goodput),
        *map(percent, shares),
    ]


def _color(cause: str) -> str:
    return _COLORS.get(cause, LINE if cause == LATER else FAINT)


def _described(name: str, start: Start) -> str:
    time = f" {in_words(start.seconds)}," if math.isfinite(start.seconds) else ""
    return f"{name}{time} goodput {percent(start.goodput).text}"
