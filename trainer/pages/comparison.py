"""A page that lays runs over each other: results, tests of their differences, curves, configs.

html = page([read_record(store) for store in stores])      # all are compared with the first
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from trainer.pages import classification_plots, report, run_facts, time_use
from trainer.pages.curves import Drawing, Series, over_steps, series
from trainer.pages.figures import SERIES
from trainer.pages.findings import findings
from trainer.pages.findings_of_test import Finding
from trainer.pages.page import render
from trainer.pages.run_facts import results_of_test
from trainer.pages.run_names import short_names
from trainer.pages.statistics import Discordance, mcnemar, wilson
from trainer.pages.table import Cell, Table, count, duration, number, percent
from trainer.run.record import Record

FILE = "comparison.html"
_NOT_METRICS = ("checkpoint", "seconds", "start")


class Run(NamedTuple):
    """A run with the name and the colour that it has on the page."""

    name: str
    record: Record
    color: str
    dashed: bool  # where the colours don't suffice


class Overview(NamedTuple):
    """What is said of a run by itself."""

    run: Run
    verdict: str
    missing: Sequence[str]
    findings: Sequence[Finding]


def page(records: Sequence[Record]) -> str:
    """Returns the page; UserError when a run is given twice."""
    names = short_names([record.url for record in records])
    runs = [
        Run(name, record, SERIES[place % len(SERIES)], place >= len(SERIES))
        for place, (name, record) in enumerate(zip(names, records, strict=True))
    ]
    return render(
        FILE,
        runs=[_overview(run) for run in runs],
        results=results_table(runs),
        metrics=metrics_table(runs),
        pairs=[pair_in_words(runs[0], other) for other in runs[1:]],
        curves=overlaid(runs),
        lengths=_lengths(runs),
        differences=run_facts.differences({run.name: run.record.config for run in runs}),
    )


def results_table(runs: Sequence[Run]) -> Table:
    """Returns a row for each run: its test, its best validation and what it took."""
    heads = ["run", "test accuracy", "from", "to", "best validation", "at step", "epochs"]
    return Table([*heads, "starts", "time"], [_row(run) for run in runs])


def metrics_table(runs: Sequence[Run]) -> Table | None:
    """Returns each metric of the tests, with its difference from the first run's."""
    tests = {run.name: run.record.test for run in runs}
    found = [name for test in tests.values() if test is not None for name in test.values]
    names = [name for name in dict.fromkeys(found) if name not in _NOT_METRICS]
    first = tests[runs[0].name]
    rows = []
    for name in names:
        base = math.nan if first is None else first.value(name)
        values = [math.nan if test is None else test.value(name) for test in tests.values()]
        changes = [(number(value, 4), number(value - base, 4, signed=True)) for value in values[1:]]
        rows.append([Cell(name), number(base, 4), *itertools.chain(*changes)])
    heads = itertools.chain(*((run.name, "difference") for run in runs[1:]))
    return Table(["metric", runs[0].name, *heads], rows) if rows else None


def pair_in_words(first: Run, second: Run) -> str:
    """Says how two runs differ on the same test reviews, or why they can't be compared so."""
    pair = f"{second.name} and {first.name}"
    lacking = [run.name for run in (first, second) if results_of_test(run.record) is None]
    if lacking:
        return (
            f"{pair} can't be compared review by review: {' and '.join(lacking)} has no results "
            f"of each review; {run_facts.AGAIN} there, which tests again."
        )
    found = paired(first.record, second.record)
    if found is None:
        return f"{pair} were not tested on the same reviews, so there is no paired test."
    return _in_words(first.name, second.name, found)


def paired(first: Record, second: Record) -> Discordance | None:
    """Compares two runs review by review; None when their test reviews are not the same.

    They are when labels and lengths agree.
    """
    one, other = results_of_test(first), results_of_test(second)
    if one is None or other is None or first.labels != second.labels:
        return None
    same = ((one.labels, other.labels), (one.lengths, other.lengths))
    if not all(np.array_equal(a, b) for a, b in same):
        return None
    return mcnemar(one.predicted == one.labels, other.predicted == other.labels)


def overlaid(runs: Sequence[Run]) -> list[Drawing]:
    """Draws the curves of all runs over each other, what there is of them."""
    score = runs[0].record.score
    asked = [
        ("Training loss", "train", "loss", False),
        ("Validation loss", "validation", "loss", False),
        (f"Validation {score}", "validation", score, False),
        (f"Training {score}", "train", score, False),
        ("Learning rate", "train", "learning_rate", False),
        ("Norm of the gradient, before clipping", "train", "gradient_norm", True),
    ]
    drawings = [_overlaid(runs, *what) for what in dict.fromkeys(asked)]
    rates = _drawn(runs, report.throughput_of)
    drawings.append(over_steps("Tokens per second, padding left out", rates) if rates else None)
    return [drawing for drawing in drawings if drawing is not None]


def _in_words(first: str, second: str, found: Discordance) -> str:
    """Says how much better or worse the second run is, and whether chance explains it."""
    sign, place = (1, "above") if found.difference >= 0 else (-1, "below")
    points = 100 * sign * np.array([found.difference, found.low, found.high])
    low, high = sorted(points[1:])
    chance = "p < 0.001" if found.p_value < 0.001 else f"p = {found.p_value:.3f}"
    verdict = "which chance may explain" if found.p_value >= 0.05 else "more than chance explains"
    return (
        f"On the same test reviews the accuracy of {second} is {points[0]:.1f} percentage points "
        f"{place} that of {first} (95 % interval {low:.1f} to {high:.1f}), {verdict}: "
        f"{found.second_only:,} reviews only {second} got right, {found.first_only:,} only {first} "
        f"(McNemar's exact test, {chance})."
    )


def _overlaid(runs: Sequence[Run], title: str, kind: str, name: str, log: bool) -> Drawing | None:
    def pairs(record: Record) -> list[tuple[float, float]]:
        return [(line.step, line.value(name)) for line in record.of_kind(kind)]

    drawn = _drawn(runs, pairs, points=kind == "validation")
    return over_steps(title, drawn, log=log) if drawn else None


def _drawn(
    runs: Sequence[Run],
    pairs: Callable[[Record], list[tuple[float, float]]],
    points: bool = False,
) -> list[Series]:
    curves = (
        series(run.name, pairs(run.record), run.color, points=points, dashed=run.dashed)
        for run in runs
    )
    return list(itertools.chain(*curves))


def _row(run: Run) -> list[Cell]:
    record, results, nothing = run.record, results_of_test(run.record), number(math.nan)
    span = [nothing, nothing]
    if results is not None:
        right = int((results.predicted == results.labels).sum())
        span = [number(bound) for bound in wilson(right, len(results.labels))]
    starts = time_use.starts_of(record.lines)
    total = time_use.summed(starts)
    return [
        Cell(run.name),
        number(record.test.value("accuracy")) if record.test else nothing,
        *span,
        number(record.best.value(record.score)) if record.best else nothing,
        count(record.best.step) if record.best else nothing,
        count(len(record.of_kind("epoch"))),
        count(len(starts)) if total else nothing,
        duration(total.seconds if total else math.nan),
    ]


def _lengths(runs: Sequence[Run]) -> Table | None:
    """Returns the accuracy by length of the runs with results."""
    found = {
        run.name: {group.name: group for group in classification_plots.length_groups(results)}
        for run in runs
        if (results := results_of_test(run.record)) is not None
    }
    rows = []
    for place, name in enumerate(dict.fromkeys(itertools.chain(*found.values()))):
        shares = [
            percent(groups[name].right / groups[name].reviews if name in groups else math.nan)
            for groups in found.values()
        ]
        rows.append([Cell(name, place), *shares])
    return Table(["tokens", *found], rows) if rows else None


def _overview(run: Run) -> Overview:
    record = run.record
    missing = run_facts.missing(record)
    return Overview(run, run_facts.verdict(record), missing, findings(record))
