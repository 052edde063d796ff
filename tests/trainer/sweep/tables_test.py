"""What is shown of a sweep: order, means, files and the page."""

import csv
import io
import json
import math

import numpy as np
import pytest

from storage.store import open_store
from tests.browser import browser, open_page, overflows  # noqa: F401
from trainer.sweep import page, ranking, tables, trials
from trainer.sweep.results import DONE, FAILED, NOT_BEGUN, STOPPED_EARLY, UNFINISHED, Result

SCRIPT = "<script>document.title = 'broken'</script>"
POINTS = [
    {"model.layer_sizes": sizes, "optimizer.learning_rate": rate, "data.source": name, "seed": seed}
    for sizes, rate, name in (((64, 32), 1e-3, "sample"), ((8,), 3e-2, f"files:{SCRIPT}"))
    for seed in (0, 1, 2)
]
TRIALS = trials.named(POINTS)
RESULTS = [
    Result(DONE, 0.81, 40, (0.7, 0.8, 0.81), 200.0),
    Result(DONE, 0.85, 30, (0.75, 0.85, 0.84), 190.0),
    Result(STOPPED_EARLY, 0.5, 10, (0.5,), 60.0),
    Result(DONE, 0.85, 40, (0.7, math.nan, 0.85), 210.0),
    Result(FAILED, None, None, (), 0.0, f"no memory {SCRIPT}", attempt=1),
    Result(NOT_BEGUN),
]
ORDER = ["0001", "0003", "0000", "0002", "0004", "0005"]
FOUND = {trial.name: result for trial, result in zip(TRIALS, RESULTS, strict=True)}


def test_best_is_first_and_of_equal_ones_the_first():
    ranked = ranking.by_score(TRIALS, FOUND)
    assert [ranking.number_of(t) for t in ranked] == ORDER


def test_best_was_trained_to_its_end():
    found = {**FOUND, TRIALS[2].name: Result(STOPPED_EARLY, 0.99, 10, (0.99,))}
    assert ranking.best(TRIALS, found) == TRIALS[1]
    assert ranking.best(TRIALS, dict.fromkeys(found, Result(UNFINISHED, 0.5))) is None


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ([DONE, STOPPED_EARLY], 0),
        ([DONE, UNFINISHED], 75),
        ([NOT_BEGUN, DONE], 75),
        ([UNFINISHED, FAILED], 1),
    ],
)
def test_exit_code_says_what_is_left(states, code):
    assert ranking.exit_code({str(n): Result(state) for n, state in enumerate(states)}) == code


def test_means_are_numpys():
    first, second = ranking.means(TRIALS, FOUND)
    assert (second.mean, second.done) == (pytest.approx(np.mean([0.81, 0.85, 0.5])), 2)
    assert second.deviation == pytest.approx(np.std([0.81, 0.85, 0.5], ddof=1))
    assert second.values["model.layer_sizes"] == (64, 32)
    assert (first.mean, first.scores, math.isnan(first.deviation)) == (0.85, [0.85], True)


def test_one_seed_has_no_means():
    assert ranking.means(TRIALS[:1], FOUND) == []
    assert ranking.means(trials.named([{"model.dropout": 0.1}, {"model.dropout": 0.2}]), {}) == []


def test_table_and_files_hold_every_trial(tmp_path, capsys):
    store = open_store(str(tmp_path))
    tables.show(store, TRIALS, FOUND)
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == [
        *("trial", "layer_sizes", "learning_rate", "source", "seed", "score", "epochs", "time"),
        "state",
    ]
    assert rows[0].split() == [
        *("0001", "64x32", "0.001", "sample", "1", "0.8500", "3", "3", "min", "10", "s", "done")
    ]
    assert len({row.index("done") for row in rows[:3]}) == 1
    assert any(row.startswith(f"Trial {TRIALS[4].name} failed: no memory") for row in rows)
    lines = list(csv.DictReader(io.StringIO(store.read(tables.CSV).decode())))
    assert [line["trial"] for line in lines][:2] == [TRIALS[1].name, TRIALS[3].name]
    assert lines[0]["model.layer_sizes"] == "64x32"
    assert [line["score"] for line in lines] == ["0.85", "0.85", "0.81", "0.5", "", ""]
    whole = json.loads(store.read(tables.JSON))
    assert whole["trials"][1]["scores"] == [0.7, None, 0.85]
    assert whole["means"][0]["mean"] == 0.85


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_shows_everything_and_loads_nothing(tmp_path, open_page, scheme):  # noqa: F811
    ranked = ranking.by_score(TRIALS, FOUND)
    file = tmp_path / page.FILE
    file.write_text(page.page("runs/sweep", ranked, FOUND, ranking.means(TRIALS, FOUND)))
    shown = open_page(file, width=390, color_scheme=scheme)
    assert shown.title() == "Sweep runs/sweep"
    assert not overflows(shown)
    text = shown.inner_text("body")
    assert "6 trial(s): 3 done, 1 failed, 1 not begun, 1 stopped early." in text
    assert f"The best is {TRIALS[1].name} with a validation score of 0.8500" in text
    assert f"failed: no memory {SCRIPT}" in text
    assert shown.locator("svg.figure").count() == 4  # the curves, and each field but the seed
    rows = shown.locator("table").first.locator("tbody tr").all_inner_texts()
    assert [row.split()[0] for row in rows] == ORDER


def test_sweep_that_has_only_begun_has_a_page():
    found = dict.fromkeys(FOUND, Result(NOT_BEGUN))
    text = page.page("runs/sweep", TRIALS, found, ranking.means(TRIALS, found))
    assert "6 trial(s): 6 not begun." in text
    assert "<svg" not in text


def test_more_trials_than_colours_are_drawn():
    planned = trials.named([{"train.epochs": number} for number in range(1, 30)])
    found = {t.name: Result(DONE, 0.5 + n / 100, 10, (0.5,)) for n, t in enumerate(planned)}
    text = page.page("runs/sweep", ranking.by_score(planned, found), found, [])
    assert "The best 6 are coloured" in text
