"""Run with `python -m pytest tests/trainer/pages/explanation_test.py`."""

import re

import numpy as np
import pytest

from tests.browser import browser, open_page, overflows  # noqa: F401
from trainer.learning.explainer import Explanation, LayerGates
from trainer.pages import figures
from trainer.pages.explanation import figure, fragment, most_interesting, page_of

WORDS = ("the", "film", "<b>film</b>", "was", "dull", "映画", "😀", "b" * 3_000)


def explanation_of(words=WORDS, labels=("negative", "positive"), layers=2, units=12):
    """An explanation with numbers of its own for each word; the third word is unknown."""
    rng = np.random.default_rng(0)
    count = len(words)

    def values():
        return rng.uniform(size=(count, units)).astype(np.float32)

    return Explanation(
        text=" ".join(words),
        length=len(words),
        words=tuple(words),
        known=np.arange(count) != 2,
        labels=labels,
        probabilities=np.full(len(labels), 1 / len(labels), np.float32),
        label=labels[0],
        explained=labels[-1],
        logit=-1.25,
        baseline_logit=0.5,
        so_far=rng.uniform(size=count).astype(np.float32),
        attributions=rng.normal(size=count).astype(np.float32),
        left_out=rng.normal(size=count).astype(np.float32),
        layers=tuple(
            LayerGates(f"layer {n + 1}", *(values() for _ in range(6)), rng.normal(size=units))
            for n in range(layers)
        ),
    )


def column(page, number):
    return page.locator(f"tbody td:nth-child({number})").all_inner_texts()


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_page_shows_verdict_words_picture_and_numbers(open_page, tmp_path, color_scheme):  # noqa: F811
    explanation = explanation_of()
    path = tmp_path / "explanation.html"
    path.write_text(page_of(explanation), encoding="utf-8")
    page = open_page(path, color_scheme=color_scheme)
    assert page.title().startswith("negative: the film <b>film</b> was")
    assert page.locator(".verdict").inner_text() == "negative, probability 0.5000"
    assert page.locator(".review span").all_inner_texts() == list(WORDS)
    assert "Layer 2, forget gate" in page.locator("svg.figure text").all_text_contents()
    assert page.locator("svg.figure image").count() == 8  # gates and cell of each layer
    headings = page.locator("th").all_inner_texts()
    assert [heading.split(" ↕")[0] for heading in headings][:6] == [
        *("#", "word", "so far", "part", "left out", "layer 1 input")
    ]
    assert column(page, 2)[:3] == ["the", "film", "<b>film</b> (unknown)"]
    assert column(page, 4) == [f"{value:+.3f}" for value in explanation.attributions]
    forget = explanation.layers[1].forget.mean(axis=1)
    assert column(page, 10) == [f"{value:.3f}" for value in forget]


def test_table_sorts_by_a_heading(open_page, tmp_path):  # noqa: F811
    path = tmp_path / "explanation.html"
    path.write_text(page_of(explanation_of()), encoding="utf-8")
    page = open_page(path)
    page.get_by_role("button", name="part").click()
    parts = [float(text) for text in column(page, 4)]
    assert parts == sorted(parts)


def test_long_review_is_scrolled_within_the_page(open_page, tmp_path):  # noqa: F811
    path = tmp_path / "explanation.html"
    path.write_text(page_of(explanation_of([f"word{n}" for n in range(512)])), encoding="utf-8")
    page = open_page(path, width=390)
    assert not overflows(page)
    labels = page.locator("svg.figure text").all_text_contents()
    assert labels.count("word511") == 3  # below the parts and below each layer
    first, second = page.locator("svg.figure text", has_text=re.compile("^word1?0$")).all()[:2]
    apart = second.bounding_box()["x"] - first.bounding_box()["x"]
    assert apart / 10 > first.bounding_box()["width"]  # they do not run into each other


def test_same_explanation_for_another_page_is_a_part_of_one():
    html = fragment(explanation_of())
    assert html.lstrip().startswith('<p class="verdict">')
    assert "<b>film" not in html and "&lt;b&gt;film" in html


def test_all_of_more_than_two_labels_are_named():
    html = fragment(explanation_of(labels=("bad", "fair", "good")))
    assert re.search(r"bad 0.3333;\s*fair 0.3333;\s*good 0.3333", html)


def test_picture_of_a_long_review_shows_what_matters_most():
    explanation = explanation_of([f"word{n}" for n in range(300)])
    explanation.attributions[:] = 0.01
    explanation.attributions[200:210] = -2.0
    words = most_interesting(explanation)
    assert words.stop - words.start == 60
    assert words.start <= 200 and words.stop >= 210
    picture = figure(explanation, words)
    labels = {text.get_text() for axes in picture.axes for text in axes.texts}
    assert {"word200", "word209"} <= labels and "word100" not in labels
    which = f"words {words.start + 1} to {words.stop} of 300"
    assert f"Probability of positive after each word, {which}" in labels
    width, height = np.frombuffer(figures.as_png(picture)[16:24], ">u4")
    assert width < 3_000 and height < 4_000


def test_units_are_sorted_by_their_influence():
    explanation = explanation_of(layers=1, units=3)
    explanation.layers[0].influence[:] = [0.1, 3.0, -2.0]
    images = [axes.images[0] for axes in figure(explanation).axes if axes.images]
    assert len(images) == 4
    np.testing.assert_array_equal(images[1].get_array(), explanation.layers[0].forget.T[[1, 0, 2]])
    np.testing.assert_array_equal(images[3].get_array(), explanation.layers[0].cell.T[[1, 0, 2]])


def test_review_of_one_word_and_cells_of_zero_are_drawn():
    explanation = explanation_of(["film"], layers=1, units=1)
    explanation.layers[0].cell[:] = 0.0
    assert most_interesting(explanation) == slice(0, 1)
    assert figures.as_png(figure(explanation, most_interesting(explanation)))
