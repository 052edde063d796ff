"""The page of a sweep: its table, the trials' curves, and the score against each field.

html = page("runs/sweep", ranked_trials, results, means)
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from trainer.pages.curves import Drawing
from trainer.pages.figures import FAINT, SERIES, as_svg, new_figure
from trainer.pages.page import render
from trainer.pages.table import Cell, Table, count, duration, number
from trainer.sweep import results
from trainer.sweep.ranking import SEED, Mean, number_of
from trainer.sweep.results import Result
from trainer.sweep.trials import Trial, in_words, short_fields

FILE = "sweep.html"
_WIDTH, _HEIGHT = 5.2, 3.0  # inches
_LARGEST_LINEAR = 8.0  # an axis whose ends have a larger ratio is logarithmic


def page(
    url: str, ranked: Sequence[Trial], found: Mapping[str, Result], averaged: Sequence[Mean]
) -> str:
    """Returns the page, which loads nothing. `ranked` has the best trial first."""
    return render(
        FILE,
        url=url,
        verdict=_verdict(ranked, found),
        trials=_table(ranked, found),
        means=_means(averaged) if averaged else None,
        failures=[(t.name, found[t.name].message) for t in ranked if found[t.name].message],
        curves=[drawing for drawing in [_curves(ranked, found)] if drawing],
        fields=_against_fields(ranked, found),
    )


def _verdict(ranked: Sequence[Trial], found: Mapping[str, Result]) -> str:
    states = [found[trial.name].state for trial in ranked]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(sorted(states)))
    done = [trial for trial in ranked if found[trial.name].state == results.DONE]
    if not done:
        return f"{len(ranked)} trial(s): {counts}."
    score = found[done[0].name].score
    shown = "" if score is None else f" with a validation score of {score:.4f}"
    return f"{len(ranked)} trial(s): {counts}. The best is {done[0].name}{shown}."


def _table(ranked: Sequence[Trial], found: Mapping[str, Result]) -> Table:
    headings = ["trial", *short_fields(ranked[0].values).values()]
    rows = [
        [
            Cell(number_of(trial), int(number_of(trial))),
            *map(_cell, trial.values.values()),
            number(_score(found[trial.name]), 4),
            count(found[trial.name].epochs),
            duration(found[trial.name].seconds or math.nan),
            Cell(found[trial.name].state),
        ]
        for trial in ranked
    ]
    return Table([*headings, "score", "epochs", "time", "state"], rows)


def _means(averaged: Sequence[Mean]) -> Table:
    headings = short_fields(averaged[0].values).values()
    rows = [
        [
            *map(_cell, mean.values.values()),
            count(len(mean.scores)),
            count(mean.done),
            *(number(v, 4) for v in (mean.mean, mean.deviation, min(mean.scores))),
            number(max(mean.scores), 4),
        ]
        for mean in averaged
    ]
    return Table([*headings, "seeds", "done", "mean", "deviation", "lowest", "highest"], rows)


def _cell(value: Any) -> Cell:
    return Cell(in_words(value), float(value) if _is_number(value) else None)


def _curves(ranked: Sequence[Trial], found: Mapping[str, Result]) -> Drawing | None:
    """Draws the score after each epoch; the best trials are coloured, the others grey."""
    drawn = [trial for trial in ranked if found[trial.name].scores]
    if not drawn:
        return None
    figure, axes = new_figure(1.4 * _WIDTH, 1.3 * _HEIGHT)
    styles = itertools.chain(SERIES, itertools.repeat(FAINT))
    # The best ones last, over the others.
    for trial, color in reversed(list(zip(drawn, styles, strict=False))):
        scores = found[trial.name].scores
        is_best = color != FAINT
        axes.plot(
            range(1, len(scores) + 1),
            scores,
            color=color,
            marker="o",
            markersize=4.0 if is_best else 2.5,
            alpha=0.9 if is_best else 0.5,
            label=number_of(trial) if is_best else None,
            linestyle="--" if found[trial.name].state == results.STOPPED_EARLY else "-",
        )
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    handles, labels = axes.get_legend_handles_labels()
    place = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}  # beside the curves
    axes.legend(handles[::-1], labels[::-1], title="trial", fontsize=8, **place)
    caption = (
        f"The best {len(SERIES)} are coloured. A dashed line is a trial that was stopped early."
    )
    return Drawing(
        "Validation score", as_svg(figure, "Validation score by epoch and trial"), caption
    )


def _against_fields(ranked: Sequence[Trial], found: Mapping[str, Result]) -> list[Drawing]:
    """Draws the score against each field that varies, of the trials that have a score."""
    scored = [trial for trial in ranked if found[trial.name].score is not None]
    short = short_fields(ranked[0].values)
    return [
        _against(field, short[field], scored, found)
        for field in ranked[0].values
        if field != SEED and len({in_words(trial.values[field]) for trial in scored}) > 1
    ]


def _against(
    field: str, name: str, scored: Sequence[Trial], found: Mapping[str, Result]
) -> Drawing:
    """Draws a point a trial, hollow when it was not trained to the end."""
    figure, axes = new_figure(_WIDTH, _HEIGHT)
    values = [trial.values[field] for trial in scored]
    places: list[float]
    if all(map(_is_number, values)):
        places = list(map(float, values))
        ticks = sorted(set(places))
        labels = [f"{tick:g}" for tick in ticks]
        if ticks[0] > 0 and ticks[-1] > _LARGEST_LINEAR * ticks[0]:
            axes.set_xscale("log")
    else:
        labels = sorted({in_words(value) for value in values})
        places = [float(labels.index(in_words(v))) for v in values]
        ticks = [float(place) for place in range(len(labels))]
        axes.set_xlim(-0.5, len(labels) - 0.5)
    for trial, place in zip(scored, places, strict=True):
        is_done = found[trial.name].state == results.DONE
        style = {"marker": "o", "color": SERIES[0], "markersize": 6, "alpha": 0.8}
        axes.plot(
            [place], [_score(found[trial.name])], fillstyle="full" if is_done else "none", **style
        )
    axes.set_xticks(ticks, labels)
    axes.minorticks_off()
    axes.set_xlabel(name)
    return Drawing(field, as_svg(figure, f"Validation score against {field}"))


def _score(result: Result) -> float:
    return math.nan if result.score is None else result.score


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
