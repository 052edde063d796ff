"""Figures as images and in pages."""

import re

import pytest

from trainer.pages import figures


@pytest.fixture
def figure():
    figure, axes = figures.new_figure(4, 2)
    axes.plot([1, 2], [3, 1], color=figures.SERIES[0], label="<train>")
    axes.legend()
    return figure


def test_figure_in_a_page_has_the_colours_of_the_page_only(figure):
    svg = figures.as_svg(figure, "the loss")
    assert not re.search("#[0-9a-f]{6}", svg)
    assert {"ink", "faint", "line", "series-1"} <= set(re.findall(r"var\(--([\w-]+)\)", svg))


def test_figure_in_a_page_escapes_its_texts(figure):
    svg = figures.as_svg(figure, 'the "loss" & <more>')
    assert 'aria-label="the &#34;loss&#34; &amp; &lt;more&gt;"' in svg
    assert "&lt;train&gt;" in svg


def test_text_that_looks_like_a_colour_stays():
    figure, axes = figures.new_figure(4, 2)
    axes.set_title(f"{figures.INK} > {figures.PAPER}")
    assert f">{figures.INK} &gt; {figures.PAPER}</text>" in figures.as_svg(figure, "a")


def test_figure_in_a_page_changes_nothing_outside_of_it(figure):
    assert "<style" not in figures.as_svg(figure, "the loss")


def test_same_figure_is_the_same_text(figure):
    assert figures.as_svg(figure, "a") == figures.as_svg(figure, "a")


def test_text_that_looks_like_mathematics_or_has_no_glyph_is_drawn():
    figure, axes = figures.new_figure(4, 2)
    axes.set_title(r"$\foo$ 電影")
    assert r"$\foo$" in figures.as_svg(figure, "a")
    figures.as_png(figure)


def test_figure_can_be_an_image(figure):
    assert figures.as_png(figure).startswith(b"\x89PNG")
