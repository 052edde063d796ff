"""The page on which a review is tried, in a browser and by its requests."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import expect

from tests.browser import browser, open_page, overflows  # noqa: F401
from tests.trainer.serving.servers import BY_LENGTH, Held, running

CONTROLS = "a, button, input, textarea, [tabindex], svg[role=img]"
NAMELESS = f"""[...document.querySelectorAll("{CONTROLS}")]
    .filter((part) => !(part.labels?.length || part.textContent.trim()
        || part.getAttribute("aria-label")))
    .map((part) => part.outerHTML)"""


@pytest.fixture(scope="module")
def server(model):
    """A server of the finished run."""
    with running(model, timeout_seconds=60.0) as server:
        yield server


@pytest.fixture(scope="module")
def of_export():
    """A server of a model that can't be looked into, as an export can't."""
    with running(BY_LENGTH) as server:
        yield server


def explain(server, text):
    return server.post({"text": text}, "/explain")


def test_review_is_classified_by_keyboard_alone(server, open_page, model):  # noqa: F811
    page = open_page(server.url, width=390)
    page.keyboard.type("The film was dull")  # the review has the focus
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#explanation svg.figure")
    probabilities = model.predict([b"The film was dull"])[0]
    label = model.labels[probabilities.argmax()]
    verdict = page.get_by_role("status")
    expected = f"{label}, probability {probabilities.max():.4f}"
    assert verdict.inner_text() == expected
    assert page.locator("#explanation .review span").all_inner_texts() == [
        "the",
        "film",
        "was",
        "dull",
    ]
    assert page.evaluate("document.activeElement.id") == "text"
    assert not overflows(page)
    assert page.evaluate(NAMELESS) == []
    # The next review, by the button.
    page.keyboard.press("Control+A")
    page.keyboard.type("a fine film")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#explanation .review span")).to_have_count(3)
    assert verdict.inner_text().startswith(("positive, prob", "negative, prob"))


def test_page_of_an_export_shows_words_and_says_where_gates_are(of_export, open_page):  # noqa: F811
    page = open_page(of_export.url, color_scheme="dark")
    assert "To look at the gates of the network, serve the workdir" in page.inner_text("main")
    page.get_by_label("Review").fill("<img src=x onerror=alert(1)> & <b>bold</b>")
    page.get_by_role("button").click()
    page.wait_for_selector("#explanation .review span")
    words = page.locator("#explanation .review span").all_inner_texts()
    assert words == ["<img", "src=x", "onerror=alert(1)>", "&", "<b>bold</b>"]
    assert page.locator("#explanation img").count() == 0


def test_page_says_that_it_is_busy_and_what_went_wrong(browser):  # noqa: F811
    held = Held()
    with running(BY_LENGTH._replace(predict=held), max_text_bytes=9) as server:
        page = browser.new_page()
        page.goto(server.url)
        page.get_by_label("Review").fill("fine film")
        page.keyboard.press("Control+Enter")
        held.wait_for_batch()
        assert page.get_by_role("status").inner_text() == "Reading the review …"
        assert page.get_by_role("button").get_attribute("aria-disabled") == "true"
        # A later review takes the place of the one that runs.
        page.get_by_label("Review").fill("much too long")
        page.keyboard.press("Control+Enter")
        page.wait_for_selector("#fault:not(:empty)")
        assert page.get_by_role("alert").inner_text() == "the review: 13 bytes; at most 9"
        assert page.get_by_role("status").text_content() == ""
        assert page.get_by_role("button").get_attribute("aria-disabled") == "false"
        held.released.set()
    page.keyboard.press("Control+Enter")  # the server has stopped
    page.wait_for_selector("#fault:not(:empty)")
    assert "the server does not answer" in page.get_by_role("alert").inner_text()
    page.close()


def test_explanation_agrees_with_the_prediction(server, model):
    answer = explain(server, "The film was dull").json()
    probabilities = model.predict([b"The film was dull"])[0]
    assert answer["label"] == model.labels[probabilities.argmax()]
    assert answer["probability"] == pytest.approx(probabilities.max(), abs=1e-5)


def test_words_of_an_export_are_measured_by_leaving_them_out(of_export):
    answer = explain(of_export, "a bb").json()
    assert answer["label"] == "short"
    # log(4 / 10) - log(2 / 10) without "a", and - log(1 / 10) without "bb"
    assert 'title="+0.693">a<' in answer["html"]
    assert 'title="+1.386">bb<' in answer["html"]
    assert explain(of_export, " ").json()["label"] == "short"


def test_words_of_an_export_are_left_out_for_one_client_at_a_time():
    held = Held()
    with (
        running(BY_LENGTH._replace(predict=held), max_requests=2) as server,
        ThreadPoolExecutor(2) as clients,
    ):
        answers = [clients.submit(explain, server, "a bb") for _ in range(2)]
        held.wait_for_batch()
        while server.post(b"{").status_code == 400:  # the second isn't there yet
            pass
        assert "longhaul_waiting_texts 0.0" in server.get("/metrics").text
        held.released.set()
        assert [answer.result().status_code for answer in answers] == [200, 200]
    assert held.batches == [[b"a", b"bb", b"a bb"]] * 2


@pytest.mark.parametrize("text", ["x " * 257, ""])
def test_export_tells_the_verdict_of_a_text_whose_words_can_not_be_left_out(of_export, text):
    answer = explain(of_export, text)
    assert answer.status_code == 200
    assert answer.json()["label"] in ("short", "long")
    assert "in reviews of 1 to 256 words" in answer.json()["html"]


@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [
        ({}, 400, "text: accepted is a string"),
        ({"text": 1}, 400, "text: accepted is a string"),
        ({"text": {"b64": "QQ=="}}, 400, "text: accepted is a string"),
        ({"review": "a"}, 400, "unknown key 'review'"),
        ({"text": "\ud800"}, 400, "surrogate"),
        ({"text": "x" * 100_001}, 413, "100,001 bytes"),
    ],
)
def test_wrong_request_is_refused(of_export, content, status, reason):
    answer = of_export.post(json.dumps(content).encode(), "/explain")
    assert answer.status_code == status
    assert reason in answer.json()["error"]
