"""A page that lays runs over each other: results, tests of their differences, curves, configs.

html = page([read_record(store) for store in stores])      # all are compared with the first
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from trainer.pages import comparison_tables, run_facts
from trainer.pages.curves import Drawing, Series, over_steps, series
from trainer.pages.figures import SERIES
from trainer.pages.findings import findings
from trainer.pages.findings_of_test import Finding
from trainer.pages.page import render
from trainer.pages.report import MOST_SHOWN_LABELS, THROUGHPUT, throughput_of
from trainer.pages.run_facts import results_of_test
from trainer.pages.statistics import Discordance, mcnemar
from trainer.run.record import Record
from trainer.run.run_names import short_names

FILE = "comparison.html"


class Overview(NamedTuple):
    """What is said of a run by itself."""

    name: str
    url: str
    verdict: str
    missing: Sequence[str]
    findings: Sequence[Finding]


def page(records: Sequence[Record]) -> str:
    """Returns the page; UserError when a run is given twice."""
    names = short_names([record.url for record in records], "--compare")
    runs = dict(zip(names, records, strict=True))
    return render(
        FILE,
        runs=[_overview(name, record) for name, record in runs.items()],
        results=comparison_tables.results(runs),
        metrics=comparison_tables.metrics(runs),
        pairs=[pair_in_words(runs, name) for name in names[1:]],
        curves=overlaid(runs),
        lengths=comparison_tables.lengths(runs),
        recalls=comparison_tables.recalls(runs),
        many_labels=len(records[0].labels) > MOST_SHOWN_LABELS,
        differences=run_facts.differences({name: run.config for name, run in runs.items()}),
    )


def pair_in_words(runs: Mapping[str, Record], second: str) -> str:
    """Says how a run differs from the first on the same test reviews, or why no one can say."""
    first = next(iter(runs))
    pair = f"{second} and {first}"
    if not all(runs[name].predicts_labels for name in (first, second)):
        return f"{pair} can't be compared review by review: a language model predicts no labels."
    lacking = [name for name in (first, second) if results_of_test(runs[name]) is None]
    if lacking:
        return (
            f"{pair} can't be compared review by review: {' and '.join(lacking)} without results "
            f"of each review; {run_facts.AGAIN} there, which tests again."
        )
    found = paired(runs[first], runs[second])
    if found is None:
        return f"{pair} were not tested on the same reviews, so there is no paired test."
    return _in_words(first, second, found)


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
    return mcnemar(one.right, other.right)


def overlaid(runs: Mapping[str, Record]) -> list[Drawing]:
    """Draws the curves of all runs over each other, what there is of them."""
    score = next(iter(runs.values())).score
    asked = [
        ("Training loss", "train", "loss", False),
        ("Validation loss", "validation", "loss", False),
        (f"Training {score}", "train", score, False),
        (f"Validation {score}", "validation", score, False),
        ("Learning rate", "train", "learning_rate", False),
        ("Norm of the gradient, before clipping", "train", "gradient_norm", True),
    ]
    drawings = [_overlaid(runs, *what) for what in dict.fromkeys(asked)]
    rates = _drawn(runs, throughput_of)
    drawings.append(over_steps(THROUGHPUT, rates, from_zero=True) if rates else None)
    return [drawing for drawing in drawings if drawing is not None]


def _overlaid(
    runs: Mapping[str, Record], title: str, kind: str, name: str, log: bool
) -> Drawing | None:
    def pairs(record: Record) -> list[tuple[float, float]]:
        return [(line.step, record.value(line, name)) for line in record.of_kind(kind)]

    drawn = _drawn(runs, pairs, points=kind == "validation")
    return over_steps(title, drawn, log=log) if drawn else None


def _drawn(
    runs: Mapping[str, Record],
    pairs: Callable[[Record], list[tuple[float, float]]],
    points: bool = False,
) -> list[Series]:
    """Returns the curves of the runs that have any; runs beyond the colours are dashed."""
    curves = []
    for place, (name, record) in enumerate(runs.items()):
        dashed, color = divmod(place, len(SERIES))
        style = {"points": points, "dashed": dashed > 0}
        curves.append(series(name, pairs(record), SERIES[color], **style))
    return list(itertools.chain(*curves))


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


def _overview(name: str, record: Record) -> Overview:
    verdict, missing = run_facts.verdict(record), run_facts.missing(record)
    return Overview(name, record.url, verdict, missing, findings(record))
