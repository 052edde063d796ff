"""Tables of several runs, which come by their names; the first is what the others differ from.

results({"imdb": record, "imdb-2": other})
"""

import itertools
import math
from collections.abc import Mapping

import numpy as np

from trainer.learning.metrics import LENGTH_BOUNDS, confusion, length_name
from trainer.pages import time_use
from trainer.pages.classification_plots import length_groups
from trainer.pages.run_facts import results_of_test
from trainer.pages.statistics import wilson
from trainer.pages.table import Cell, Table, count, duration, number, percent
from trainer.run.record import Record
from trainer.run.test_results import TestResults

_NOT_METRICS = ("checkpoint", "seconds", "start")


def results(runs: Mapping[str, Record]) -> Table:
    """Returns a row for each run: its test, its best validation and what it took."""
    tested = ["run", "test accuracy", "from", "to"]
    trained = ["best validation", "at step", "epochs", "starts", "time", "goodput"]
    rows = [[Cell(name), *_tested(run), *_trained(run)] for name, run in runs.items()]
    return Table([*tested, *trained], rows)


def metrics(runs: Mapping[str, Record]) -> Table | None:
    """Returns each metric of the tests, and what is left of it minus the first run's."""
    tests = [run.test for run in runs.values()]
    found = [name for test in tests if test is not None for name in test.values]
    rows = []
    for name in dict.fromkeys(found):
        if name not in _NOT_METRICS:
            base, *others = (test.value(name) if test else math.nan for test in tests)
            changes = [(number(v, 4), number(v - base, 4, signed=True)) for v in others]
            rows.append([Cell(name), number(base, 4), *itertools.chain(*changes)])
    first, *rest = runs
    heads = itertools.chain(*((name, f"minus {first}") for name in rest))
    return Table(["metric", first, *heads], rows) if rows else None


def lengths(runs: Mapping[str, Record]) -> Table | None:
    """Returns the accuracy by length in the runs with results; None when there is none."""
    found = {
        run: {group.name: group.right / group.reviews for group in length_groups(tested)}
        for run, tested in _with_results(runs).items()
    }
    groups = map(length_name, (*LENGTH_BOUNDS, None))
    names = [name for name in groups if any(name in shares for shares in found.values())]
    rows = [
        [Cell(name, place), *(percent(shares.get(name, math.nan)) for shares in found.values())]
        for place, name in enumerate(names)
    ]
    return Table(["tokens", *found], rows) if rows else None


def recalls(runs: Mapping[str, Record]) -> Table | None:
    """Returns the recall of each label in the runs with results; None if their labels differ."""
    labels = next(iter(runs.values())).labels
    tested = _with_results(runs)
    if not tested or any(run.labels != labels for run in runs.values()):
        return None
    columns = [_recall(found, len(labels)) for found in tested.values()]
    rows = [
        [Cell(name), *map(number, shares)]
        for name, *shares in zip(labels.names, *columns, strict=True)
    ]
    return Table(["label", *tested], rows)


def _with_results(runs: Mapping[str, Record]) -> dict[str, TestResults]:
    found = ((name, results_of_test(run)) for name, run in runs.items())
    return {name: tested for name, tested in found if tested is not None}


def _recall(tested: TestResults, labels: int) -> list[float]:
    """Returns the fraction of each label's reviews that were right, nan where it has none."""
    matrix = confusion(tested.labels, tested.predicted, labels)
    with np.errstate(invalid="ignore"):
        return (matrix.diagonal() / matrix.sum(axis=1)).tolist()


def _tested(run: Record) -> list[Cell]:
    accuracy = run.test.value("accuracy") if run.test else math.nan
    tested = results_of_test(run)
    if tested is None:
        return [number(value) for value in (accuracy, math.nan, math.nan)]
    interval = wilson(int(tested.right.sum()), len(tested.labels))
    return [number(value) for value in (accuracy, *interval)]


def _trained(run: Record) -> list[Cell]:
    starts = time_use.starts_of(run.lines)
    total = time_use.summed(starts)
    return [
        number(run.best.value(run.score) if run.best else math.nan),
        count(run.best.step if run.best else math.nan),
        count(len(run.of_kind("epoch"))),
        count(len(starts) if total else math.nan),
        duration(total.seconds if total else math.nan),
        percent(total.goodput if total else math.nan),
    ]
