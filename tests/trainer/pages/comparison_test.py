"""Runs over each other on a page."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from storage.errors import UserError
from tests.browser import browser, open_page, overflows  # noqa: F401
from tests.trainer.pages.records import LEARNING, epochs, record_of
from tests.trainer.run.results import random_results, results_of
from trainer.pages import comparison, comparison_tables


@pytest.fixture(scope="module")
def pair():
    """Two runs that were tested on the same reviews, with another learning rate each."""
    other = epochs([(loss, loss, 0.7) for loss, *_ in LEARNING], start=1, seconds=90)
    return [
        record_of(results=random_results(2, 300, seed=1), url="runs/good"),
        record_of(other, random_results(2, 300, seed=2), url="runs/bad", optimizer__beta1=0.5),
    ]


def test_paired_test_is_scipys_on_the_discordant_reviews(pair):
    found = comparison.paired(*pair)
    right = [r.results.predicted == r.results.labels for r in pair]
    only = [int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())]
    assert [found.first_only, found.second_only] == only
    assert found.p_value == pytest.approx(stats.binomtest(only[0], sum(only)).pvalue)
    assert found.difference == pytest.approx(right[1].mean() - right[0].mean())


@pytest.mark.parametrize("changed", ["labels", "lengths"])
def test_other_reviews_have_no_paired_test(pair, changed):
    first, second = pair
    results = second.results._replace(**{changed: getattr(second.results, changed)[::-1].copy()})
    assert comparison.paired(first, second._replace(results=results)) is None
    renamed = record_of(results=second.results, labels=("a", "b"))
    assert comparison.paired(first, renamed) is None


def test_language_models_are_not_compared_review_by_review(pair):
    runs = {"one": pair[0], "other": record_of(objective__name="language_model")}
    found = comparison.pair_in_words(runs, "other")
    assert "other and one can't be compared review by review: a language model" in found


def test_page_shows_differences_and_curves(pair, tmp_path, open_page):  # noqa: F811
    file = tmp_path / "comparison.html"
    file.write_text(comparison.page(pair))
    page = open_page(file, width=390)
    assert not overflows(page)
    text = page.inner_text("body")
    assert "On the same test reviews the accuracy of bad is" in text
    assert "McNemar's exact test" in text
    assert page.locator("svg.figure").count() == 7
    rows = page.locator("table", has=page.get_by_role("button", name="field")).locator("tbody tr")
    assert rows.all_inner_texts() == ["optimizer.beta1\t0.9\t0.5\tyes"]
    assert page.locator("h3").all_inner_texts()[-2:] == ["good", "bad"]


def test_metrics_have_their_difference_from_the_first_run(pair):
    lines = [line._replace(values={**line.values, "accuracy": 0.9}) for line in pair[1].lines]
    page = comparison.page([pair[0], pair[1]._replace(lines=lines)])
    assert ">+0.0200</td>" in page


def test_recall_by_label_is_scikit_learns(pair):
    page = comparison.page(pair)
    _, recalls = page.split("Recall by label")
    for record in pair:
        results = record.results
        for recall in metrics.recall_score(results.labels, results.predicted, average=None):
            assert f">{recall:.3f}</td>" in recalls


def test_lengths_are_in_their_order_whichever_run_has_them(pair):
    long = results_of(lengths=np.int32([200, 300, 400]))
    table = comparison_tables.lengths({"a": record_of(results=long), "b": pair[0]})
    names = [row[0].text for row in table.rows]
    assert names == ["up to 64", "up to 128", "up to 256", "up to 512", "more"]
    assert [row[1].text == "-" for row in table.rows] == [True, True, False, False, True]


def test_runs_without_results_say_what_brings_them(pair):
    page = comparison.page([pair[0], record_of(url="runs/old"), record_of([], tested=False)])
    assert "old without results of each review" in page.replace("\n", " ")
    assert "In progress or stopped: step 0" in page


def test_more_runs_than_colours_and_other_labels_are_compared(pair):
    many = [record_of(url=f"runs/{number}") for number in range(8)]
    many.append(record_of(results=random_results(3, 50), labels="abc", url="runs/abc"))
    page = comparison.page([*pair, *many])
    assert "abc and good were not tested on the same reviews" in page
    assert "stroke-dasharray" in page


def test_perfect_runs_are_compared():
    results = results_of(labels=np.int32([0, 1, 1]), mistakes=())
    page = comparison.page([record_of(results=results, url=url) for url in ("a", "b")])
    assert "0.0 percentage points above" in page
    assert "which chance may explain" in page


def test_metric_that_a_run_of_an_earlier_version_lacks_is_a_dash(pair):
    first, second = pair
    newer = {"calibration_error": 0.03}
    lines = [line._replace(values={**line.values, **newer}) for line in second.lines]
    table = comparison_tables.metrics({"old": first, "new": second._replace(lines=lines)})
    (row,) = (row for row in table.rows if row[0].text == "calibration_error")
    assert [cell.text for cell in row[1:]] == ["-", "0.0300", "-"]


def test_run_given_twice_is_refused(pair):
    with pytest.raises(UserError, match="--compare: the workdir 'runs/good' is given twice"):
        comparison.page([pair[0], pair[1], pair[0]])


def test_hostile_names_are_text(tmp_path, open_page):  # noqa: F811
    script = "<script>document.title = 'broken'</script>"
    records = [
        record_of(results=random_results(2, 60), url=url, labels=("a", script), data__dir=folder)
        for url, folder in ((f"runs/{script}", script), ("runs/other", ""))
    ]
    file = tmp_path / "comparison.html"
    file.write_text(comparison.page(records))
    page = open_page(file)
    assert page.title().startswith("Comparison of ")
    assert script in page.inner_text("body")
