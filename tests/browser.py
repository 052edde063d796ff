"""A headless Chromium for the tests of pages: the fixtures `browser` and `open_page`.

    from tests.browser import browser, open_page  # noqa: F401

    def test_page(open_page, tmp_path):
        page = open_page(tmp_path / "report.html", color_scheme="dark", width=390)
        assert page.title() == "Run"

A page that loads something from another place, logs to the console or raises an error fails its
test.
"""

import contextlib
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_QUIET = (
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--no-first-run", "--no-sandbox", "--disable-gpu", "--disable-quic"),
)


@contextlib.contextmanager
def started_browser():
    """Starts the machine's Chromium, for tests and for programs that take screenshots."""
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=_QUIET) as browser,
    ):
        yield browser


@pytest.fixture(scope="module")
def browser():
    """Starts Chromium for the tests of a module."""
    if not CHROMIUM:
        pytest.skip("needs Chromium, such as Debian's package chromium")
    with started_browser() as browser:
        yield browser


@pytest.fixture
def open_page(browser):
    """Returns a function that opens a file or URL, in a window of its own."""
    faults, contexts = [], []

    def open_page(place, width=1000, height=800, **options):
        url = place.as_uri() if isinstance(place, Path) else place
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: faults.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on("request", lambda request: faults.extend(_foreign(request.url, url)))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not faults


def _foreign(asked, url):
    """Returns what to say of a request that leaves the page's place, [] of any other."""
    if asked.startswith(("data:", "blob:")) or asked == url:
        return []
    page, other = urlsplit(url), urlsplit(asked)
    if page.scheme != "file" and (page.scheme, page.netloc) == (other.scheme, other.netloc):
        return []
    return [f"request: {asked}"]


def overflows(page):
    """Returns True when a page has to be scrolled sideways."""
    return page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
