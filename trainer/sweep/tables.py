"""Shows a sweep: a table in the terminal, and files beside plan.json.

show(store, trials, results)        # prints; writes sweep.csv, sweep.json and sweep.html
"""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence

from storage.store import Store
from trainer.run import terminal
from trainer.run.clock import in_words as time_in_words
from trainer.sweep.process import log_name
from trainer.sweep.ranking import Mean, by_score, means, number_of
from trainer.sweep.results import Result, to_json
from trainer.sweep.trials import Trial, in_words, short_fields

CSV, JSON = "sweep.csv", "sweep.json"


def show(store: Store, trials: Sequence[Trial], found: Mapping[str, Result]) -> None:
    """Prints the table and writes the files."""
    ranked = by_score(trials, found)
    for line in _aligned(_rows(ranked, found)):
        print(line, flush=True)
    if averaged := means(ranked, found):
        print("\nMeans over the seeds:")
        for line in _aligned(_mean_rows(averaged)):
            print(line, flush=True)
    for trial in ranked:
        if message := found[trial.name].message:
            print(f"Trial {trial.name} failed: {message} (see {log_name(trial)})", flush=True)
    store.write(CSV, _csv(ranked, found).encode())
    store.write(JSON, _json(ranked, found, averaged).encode())
    # On demand: what draws takes a second to import.
    from trainer.sweep import page

    store.write(page.FILE, page.page(store.url, ranked, found, averaged).encode())
    terminal.say(f"Page: {store.url.rstrip('/')}/{page.FILE}")


def _rows(trials: Sequence[Trial], found: Mapping[str, Result]) -> list[list[str]]:
    short = short_fields(trials[0].values)
    rows = [["trial", *short.values(), "score", "epochs", "time", "state"]]
    for trial in trials:
        result = found[trial.name]
        rows.append(
            [
                number_of(trial),
                *(in_words(value) for value in trial.values.values()),
                "-" if result.score is None else f"{result.score:.4f}",
                str(result.epochs),
                time_in_words(result.seconds) if result.seconds else "-",
                result.state,
            ]
        )
    return rows


def _mean_rows(averaged: Sequence[Mean]) -> list[list[str]]:
    short = short_fields(averaged[0].values)
    rows = [[*short.values(), "seeds", "done", "mean", "deviation", "lowest", "highest"]]
    for mean in averaged:
        numbers = (mean.mean, mean.deviation, min(mean.scores), max(mean.scores))
        shown = ("-" if math.isnan(number) else f"{number:.4f}" for number in numbers)
        values = map(in_words, mean.values.values())
        rows.append([*values, str(len(mean.scores)), str(mean.done), *shown])
    return rows


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns a line a row, with columns that are as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _csv(trials: Sequence[Trial], found: Mapping[str, Result]) -> str:
    file = io.StringIO()
    fields = list(trials[0].values)
    writer = csv.writer(file, lineterminator="\n")
    own = ("score", "step", "epochs", "seconds", "state", "message")
    writer.writerow(["trial", *fields, *own])
    for trial in trials:
        result = found[trial.name]
        values = (in_words(trial.values[field]) for field in fields)
        writer.writerow([trial.name, *values, *(getattr(result, name) for name in own)])
    return file.getvalue()


def _json(trials: Sequence[Trial], found: Mapping[str, Result], averaged: Sequence[Mean]) -> str:
    whole = {
        "trials": [
            {"trial": trial.name, "values": trial.values, **to_json(found[trial.name])}
            for trial in trials
        ],
        "means": [{**mean._asdict(), "mean": mean.mean} for mean in averaged],
    }
    return json.dumps(whole, indent=1) + "\n"
