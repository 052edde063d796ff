"""The report of a run as a page: its result, curves, mistakes, time and config.

html = page(read_record(open_store("runs/imdb")))
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from configs import default
from input_pipeline.vocabulary_file import UNKNOWN
from trainer.pages import classification_plots, run_facts, time_use, words
from trainer.pages.curves import Drawing, Marks, over_steps, series
from trainer.pages.figures import SERIES
from trainer.pages.findings import findings
from trainer.pages.page import render
from trainer.pages.run_facts import results_of_test
from trainer.pages.table import Cell, Table, count, duration, number, percent
from trainer.run.record import Line, Record
from trainer.run.test_results import Mistake, TestResults
from trainer.run.writers import run_ids

FILE = "report.html"
THROUGHPUT = "Tokens per second, padding left out"
_UNKNOWN_WORD = "[unknown]"
_CALLS = 4  # over which an uneven throughput is averaged
MOST_SHOWN_LABELS = 12  # in a table that is not folded


class ShownMistake(NamedTuple):
    """A mistake as the page shows it."""

    label: str
    predicted: str
    probability: float
    length: int  # tokens of the whole review
    read: int  # tokens that the network reads
    text: Markup


def page(record: Record) -> str:
    """Returns the page, which loads nothing."""
    results, starts = results_of_test(record), time_use.starts_of(record.lines)
    folded = run_facts.dumped(record.config)
    return render(
        FILE,
        name=run_ids.name(record.url),
        verdict=run_facts.verdict(record),
        details=run_facts.details(record),
        missing=run_facts.missing(record),
        findings=findings(record),
        facts=run_facts.facts(record),
        differences=run_facts.differences(
            {"this run": record.config, "default": default.get_config()}
        ),
        config=Table(["field", "value"], [[Cell(f), Cell(v)] for f, v in folded.items()]),
        learning=learning_curves(record),
        plots=classification_plots.plots(results, record.labels) if results else [],
        by_label=classification_plots.by_label(results, record.labels) if results else None,
        many_labels=len(record.labels) > MOST_SHOWN_LABELS,
        by_length=classification_plots.by_length_table(results) if results else None,
        mistakes=mistakes(results, record) if results and record.tokens else [],
        throughput=_throughput(record),
        time=time_use.drawing(starts),
        starts=time_use.table(starts) if starts else None,
        epochs=epoch_table(record),
        metrics=_test_metrics(record),
    )


def learning_curves(record: Record) -> list[Drawing]:
    """Draws loss, its terms, score, learning rate and gradient norm over the steps.

    What there is of them: a loss of one term is not drawn twice.
    """
    marks = Marks(time_use.restarts(time_use.starts_of(record.lines)))
    drawings = [_train_and_validation(record, "loss", marks)]
    drawings.append(_loss_terms(record, marks))
    if record.score != "loss":
        drawings.append(_train_and_validation(record, record.score, marks))
    clip = record.config.optimizer.clip_norm
    limits = marks._replace(limit=("clip_norm", clip)) if clip else marks
    drawings += [
        _of_train(record, "learning_rate", "Learning rate", marks, from_zero=True),
        _of_train(
            record, "gradient_norm", "Norm of the gradient, before clipping", limits, log=True
        ),
    ]
    return [drawing for drawing in drawings if drawing]


def epoch_table(record: Record) -> Table | None:
    """Returns a row for each epoch with all metrics; None before the first has ended."""
    epochs = record.of_kind("epoch")
    validations = {line.step: line for line in record.of_kind("validation")}
    trained = _names(epochs, without=("padding", "goodput", "seconds", "start"))
    validated = _names(list(validations.values()), without=("seconds", "start"))
    rows = [
        [
            count(place),
            count(line.step),
            *(number(line.value(name)) for name in trained),
            *(number(_at(validations, line.step, name)) for name in validated),
            percent(line.value("padding")),
            percent(line.value("goodput")),
            duration(line.value("seconds")),
            count(line.value("start")),
        ]
        for place, line in enumerate(epochs, start=1)
    ]
    heads = [*(f"train {name}" for name in trained), *(f"validation {name}" for name in validated)]
    last = ["padding", "goodput", "time since the start", "start"]
    return Table(["epoch", "step", *heads, *last], rows) if rows else None


def mistakes(results: TestResults, record: Record) -> list[ShownMistake]:
    """Returns the most confident mistakes, with their words tinted."""
    return [_shown(mistake, results, record) for mistake in results.mistakes]


def _shown(mistake: Mistake, results: TestResults, record: Record) -> ShownMistake:
    shares, tokens = results.probabilities[mistake.review], record.tokens or ()
    ids, names = mistake.tokens.tolist(), record.labels.names
    spelled = [_UNKNOWN_WORD if token == UNKNOWN else tokens[token] for token in ids]
    values = mistake.attributions.tolist() or [0.0] * len(ids)
    return ShownMistake(
        label=names[results.labels[mistake.review]],
        predicted=names[shares.argmax()],
        probability=float(shares.max()),
        length=int(results.lengths[mistake.review]),
        read=len(ids),
        text=words.coloured(spelled, values),
    )


def _train_and_validation(record: Record, name: str, marks: Marks) -> Drawing | None:
    trained = record.of_kind("train") or record.of_kind("epoch")
    best = record.best
    if best is not None:
        marks = marks._replace(best=(best.step, best.value(name)))
    pairs = [(line.step, record.value(line, name)) for line in trained]
    drawn = series("train", pairs, SERIES[0])
    validated = _pairs(record.of_kind("validation"), name)
    drawn += series("validation", validated, SERIES[1], points=True)
    return over_steps(name.capitalize(), drawn, marks) if drawn else None


def _loss_terms(record: Record, marks: Marks) -> Drawing | None:
    """Draws the terms of the loss; None where it has only the objective's own."""
    factors, own = record.config.objective.terms, record.config.objective.name
    terms = [name for name in factors if factors[name]]
    if not terms:
        return None
    drawn = []
    for name, color in zip([own, *sorted(terms)], SERIES, strict=False):
        drawn += series(name.replace("_", " "), _pairs(record.of_kind("train"), name), color)
    title = "Terms of the loss, before their factors"
    return over_steps(title, drawn, marks) if drawn else None


def _of_train(record: Record, name: str, title: str, marks: Marks, **axis: bool) -> Drawing | None:
    drawn = series(name.replace("_", " "), _pairs(record.of_kind("train"), name), SERIES[2])
    return over_steps(title, drawn, marks, **axis) if drawn else None


def throughput_of(record: Record) -> list[tuple[float, float]]:
    """Returns steps and tokens per second.

    In lines of earlier versions that are closer than the calls of TensorFlow's graph, one line had
    a call's whole time and the others none. Their harmonic mean over several calls is even.
    """
    lines, train = record.of_kind("train"), record.config.train
    pairs = _pairs(lines, "tokens_per_second")
    each = math.ceil(_CALLS * train.steps_per_call / train.log_every_steps)
    is_even = train.log_every_steps >= train.steps_per_call or any(line.start for line in lines)
    if is_even or len(pairs) < each:
        return pairs
    seconds_per_token = np.array([1 / rate if rate > 0 else math.nan for _, rate in pairs])
    means = np.convolve(seconds_per_token, np.full(each, 1 / each), mode="valid")
    steps = [step for step, _ in pairs[each - 1 :]]
    return list(zip(steps, (1 / means).tolist(), strict=True))


def _throughput(record: Record) -> Drawing | None:
    marks = Marks(time_use.restarts(time_use.starts_of(record.lines)))
    drawn = series("tokens per second", throughput_of(record), SERIES[2])
    return over_steps(THROUGHPUT, drawn, marks, from_zero=True) if drawn else None


def _test_metrics(record: Record) -> Table | None:
    """Returns the metrics of the test, None before it."""
    if record.test is None:
        return None
    names = _names([record.test], without=("checkpoint", "seconds", "start"))
    return Table(names, [[number(record.test.value(name), 4) for name in names]])


def _names(lines: Sequence[Line], without: Sequence[str]) -> list[str]:
    """Returns the names of the values of lines, in their order."""
    return [
        name
        for name in dict.fromkeys(n for line in lines for n in line.values)
        if name not in without
    ]


def _pairs(lines: Sequence[Line], name: str) -> list[tuple[float, float]]:
    return [(line.step, line.value(name)) for line in lines]


def _at(lines: dict[int, Line], step: int, name: str) -> float:
    return lines[step].value(name) if step in lines else float("nan")
