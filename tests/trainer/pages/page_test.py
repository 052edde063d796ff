"""Run with `python -m pytest tests/trainer/pages/page_test.py`.

What all pages share, in a real browser.
"""

import jinja2
import pytest

from tests.browser import browser, open_page, overflows  # noqa: F401
from trainer.pages import page as pages

ROWS = [("b", "1,000"), ("a", "20"), ("c", "n/a"), ("d", "3.5%")]
TABLE = """{% extends "base.html" %}{% block title %}<t>{% endblock %}{% block main %}
<table class="sortable"><thead><tr><th>name</th><th class="number">count</th></tr></thead><tbody>
{% for name, count in rows %}<tr><td>{{ name }}</td><td>{{ count }}</td></tr>{% endfor %}
</tbody></table>{% endblock %}"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A page with a table, from a template of its own."""
    with pytest.MonkeyPatch.context() as patch:
        ours = jinja2.PackageLoader("trainer.pages")
        loaders = [jinja2.DictLoader({"table.html": TABLE}), ours]
        patch.setattr(jinja2, "PackageLoader", lambda _: jinja2.ChoiceLoader(loaders))
        pages.environment.cache_clear()
        html = pages.render("table.html", rows=ROWS)
        pages.environment.cache_clear()
    path = tmp_path_factory.mktemp("pages") / "table.html"
    path.write_text(html)
    return path


def column(page, number):
    return page.locator(f"tbody td:nth-child({number})").all_inner_texts()


def test_table_is_sorted_by_a_click_and_again_the_other_way(file, open_page):  # noqa: F811
    page = open_page(file)
    page.get_by_role("button", name="count").click()
    assert column(page, 2) == ["3.5%", "20", "1,000", "n/a"]
    assert page.locator("th").nth(1).get_attribute("aria-sort") == "ascending"
    page.get_by_role("button", name="count").click()
    assert column(page, 2) == ["1,000", "20", "3.5%", "n/a"]


def test_table_is_sorted_by_the_keyboard(file, open_page):  # noqa: F811
    page = open_page(file)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert column(page, 1) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(("scheme", "is_dark"), [("light", False), ("dark", True)])
def test_page_follows_the_colours_of_the_system(file, open_page, scheme, is_dark):  # noqa: F811
    page = open_page(file, color_scheme=scheme)
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]")
    assert (int(paper) < 128) == is_dark


def test_page_fits_a_phone(file, open_page):  # noqa: F811
    assert not overflows(open_page(file, width=390))


def test_value_that_a_template_asks_for_is_needed():
    with pytest.raises(jinja2.UndefinedError):
        pages.environment("trainer.pages").from_string("{{ missing }}").render()
