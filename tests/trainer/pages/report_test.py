"""The report as a page, in a browser."""

import html
import re

import numpy as np
import pytest

from tests.browser import browser, open_page, overflows  # noqa: F401
from tests.trainer.pages.records import LEARNING, epochs, line, record_of
from tests.trainer.run.results import random_results, results_of
from trainer.pages import report
from trainer.run.test_results import Mistake

SCRIPT = "<script>document.title = 'broken'</script>"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Returns the file of a whole report of a run that was resumed once."""
    lines = epochs(LEARNING[:2], start=1, seconds=40)
    resumed = epochs(LEARNING[2:], start=2, seconds=50)
    lines += [each._replace(step=each.step + 20) for each in resumed]
    record = record_of(lines, random_results(2, 300, seed=1))
    file = tmp_path_factory.mktemp("pages") / "report.html"
    file.write_text(report.page(record))
    return file


def text_of(record):
    """Returns the text of a report without its tags."""
    page = report.page(record)
    return re.sub(
        r"\s+", " ", html.unescape(re.sub(r"(?s)<(style|script).*?</\1>|<[^>]+>", "", page))
    )


def test_result_is_in_the_first_line(written, open_page):  # noqa: F811
    page = open_page(written)
    verdict = page.locator(".verdict").inner_text()
    assert re.fullmatch(r"Test accuracy 0\.880, 95 % interval 0\.\d{3} to 0\.\d{3}", verdict)
    headings = page.locator("h2").all_inner_texts()
    assert headings == [
        *("What stands out", "What was run", "Learning", "Test"),
        *("The most confident mistakes", "Time", "Epochs"),
    ]
    assert page.locator("svg.figure").count() == 4 + 5 + 2
    assert "restart" in page.locator("svg.figure").first.inner_html()


def test_tables_sort_by_their_numbers(written, open_page):  # noqa: F811
    page = open_page(written)
    table = page.locator("table", has=page.get_by_role("button", name="validation loss"))
    table.get_by_role("button", name="validation loss").click()
    losses = table.locator("tbody tr td:nth-child(5)").all_inner_texts()
    assert losses == ["0.300", "0.300", "0.350", "0.500"]
    assert table.locator("tbody tr td:nth-child(1)").all_inner_texts() == ["4", "3", "2", "1"]


def test_page_fits_a_phone(written, open_page):  # noqa: F811
    page = open_page(written, width=390)
    assert not overflows(page)
    assert len(page.screenshot(full_page=True)) > 10_000


def test_dark_page_has_light_text(written, open_page):  # noqa: F811
    page = open_page(written, color_scheme="dark")
    colors = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor,"
        " getComputedStyle(document.querySelector('svg.figure text')).fill]"
    )
    ink, paper, label = (sum(map(int, re.findall(r"\d+", color)[:3])) / 3 for color in colors)
    assert min(ink, label) > 150 > 60 > paper


def test_whole_config_is_folded(written, open_page):  # noqa: F811
    page = open_page(written)
    row = page.get_by_role("cell", name="optimizer.beta1")
    assert not row.is_visible()
    page.get_by_text("The whole config").click()
    assert row.is_visible()


def test_ordinary_report_is_below_a_megabyte():
    lines = [line("train", n, loss=1 / n, gradient_norm=n % 7, start=1) for n in range(1, 50_000)]
    long = Mistake(0, np.full(300, 2, np.int32), np.linspace(-1, 1, 300, dtype=np.float32))
    record = record_of(lines, random_results(2, 25_000, mistakes=(long,) * 24))
    page = report.page(record)
    assert len(page) < 1_000_000


def test_words_of_mistakes_are_coloured_and_unknown_ones_shown():
    page = report.page(record_of(results=results_of()))
    assert '<span class="word for"' in page
    assert ">dull</span>" in page
    assert ">[unknown]</span>" in page
    assert "predicted positive with 0.7000; 3 tokens." in text_of(record_of(results=results_of()))


def test_labels_that_differ_in_case_only_are_kinds_of_their_own():
    mistakes = (results_of().mistakes[0], results_of().mistakes[0]._replace(review=0))
    results = results_of(labels=np.int32([1, 1, 0]), mistakes=mistakes)
    page = report.page(record_of(results=results, labels=("Fine", "fine")))
    assert page.count("<h3>Taken for") == 2


def test_mistakes_without_attributions_are_shown():
    (mistake,) = results_of().mistakes
    plain = mistake._replace(attributions=np.zeros(0, np.float32))
    assert ">dull</span>" in report.page(record_of(results=results_of(mistakes=(plain,))))


def test_hostile_names_are_text(tmp_path, open_page):  # noqa: F811
    record = record_of(
        results=random_results(2, 60),
        labels=("a", SCRIPT),
        url=f"runs/{SCRIPT}",
        data__text_column=SCRIPT,
    )
    file = tmp_path / "report.html"
    file.write_text(report.page(record))
    page = open_page(file)
    assert page.title().startswith("Report of ")
    assert SCRIPT in page.inner_text("body")


@pytest.mark.parametrize(
    ("record", "sentences"),
    [
        (
            record_of([], tested=False),
            ["In progress or stopped: step 0, 0 of 10 epochs", "metrics.jsonl has no line yet"],
        ),
        (
            record_of(tested=False),
            ["step 40, 4 of 10 epochs", "The run has no test: give the training command again"],
        ),
        (
            record_of(),
            ["There are no results of each review (test_results.npz)", "Test accuracy 0.880"],
        ),
        (
            record_of(results=results_of(step=20)),
            ["There are no results of each review (test_results.npz)"],
        ),
        (
            record_of(epochs(LEARNING), results_of()),
            ["metrics.jsonl was written by an earlier version, without starts and seconds"],
        ),
        (
            record_of(results=results_of())._replace(tokens=None),
            ["vocabulary.txt is missing, so mistakes have no words"],
        ),
    ],
)
def test_what_is_missing_is_said_and_the_rest_shown(record, sentences):
    text = text_of(record)
    for sentence in sentences:
        assert sentence in text
    assert "What was run" in text


def test_results_of_another_checkpoint_are_not_told_as_facts():
    assert "2025-01-31 12:00:00 UTC" in text_of(record_of(results=results_of()))
    assert "2025-01-31 12:00:00 UTC" not in text_of(record_of(results=results_of(step=20)))


def test_throughput_of_earlier_versions_is_even_where_lines_are_closer_than_calls():
    rates = [1e9, 100.0] * 20  # tokens per second of lines within and at the end of a call
    lines = [line("train", 4 * n, tokens_per_second=rate) for n, rate in enumerate(rates)]
    record = record_of(lines, train__log_every_steps=4, train__steps_per_call=8)
    found = [rate for _, rate in report.throughput_of(record)]
    assert found == pytest.approx([200.0] * len(found), rel=1e-3)
    assert len(found) > 30
    lines = [line("train", 4 * n, tokens_per_second=n + 1, start=1) for n in range(40)]
    record = record_of(lines, train__log_every_steps=4, train__steps_per_call=8)
    assert [rate for _, rate in report.throughput_of(record)] == list(range(1, 41))


def test_throughput_is_that_of_the_lines_otherwise():
    lines = [line("train", 50 * n, tokens_per_second=n) for n in range(1, 4)]
    assert report.throughput_of(record_of(lines)) == [(50, 1.0), (100, 2.0), (150, 3.0)]


def test_terms_of_a_loss_are_drawn_when_there_are_several():
    record = record_of(epochs(LEARNING, classification=0.2, entropy=0.5))
    terms = "Terms of the loss, before their factors"
    assert terms not in [drawing.title for drawing in report.learning_curves(record)]
    record.config.objective.terms.entropy = 1.0
    (drawing,) = (drawing for drawing in report.learning_curves(record) if drawing.title == terms)
    assert "classification" in drawing.svg
    assert "entropy" in drawing.svg
