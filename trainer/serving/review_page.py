"""The page at `/`, on which a review can be typed and its prediction looked into.

index(model, "longhaul")                            # the page
await explained(model, batcher, worker, "A film to remember.")     # what it shows of a review
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, NamedTuple

import ml_collections

from trainer.learning.explainer import Explanation
from trainer.pages.explanation import fragment
from trainer.pages.page import environment
from trainer.pages.words import coloured
from trainer.serving import leaving_out
from trainer.serving.batcher import Batcher
from trainer.serving.predict_request import malformed, parse_object, utf8
from trainer.serving.served_model import ServedModel

STATIC = Path(__file__).with_name("static")
_TEMPLATES = environment(__package__)


class Explained(NamedTuple):
    """What the page shows of a review."""

    label: str  # the predicted one
    probability: float  # of that label
    html: str  # words, gates

    def answer(self) -> dict[str, Any]:
        """Returns it as a JSON object."""
        return self._asdict()


def index(model: ServedModel, name: str) -> str:
    """Returns the page's HTML."""
    return _TEMPLATES.get_template("index.html").render(
        name=name,
        version=model.version,
        labels=model.labels,
        has_gates=model.explain is not None,
    )


def parse(body: bytes, limits: ml_collections.ConfigDict) -> str:
    """Returns the review of a request's body, {"text": ...}; HTTPException as `utf8` raises it."""
    content = parse_object(body, ("text",))
    if not isinstance(content.get("text"), str):
        malformed("text: accepted is a string")
    return utf8(content["text"], "the review", limits).decode()


async def explained(model: ServedModel, batcher: Batcher, worker: Executor, text: str) -> Explained:
    """Returns what the page shows of a review; the network is looked into in `worker`."""
    if model.explain is None:
        return await _by_leaving_out(model, batcher, text)
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(worker, _by_looking_into, model.explain, text)


def _by_looking_into(explain: Callable[[str], Explanation], text: str) -> Explained:
    found = explain(text)
    return Explained(found.label, float(found.probabilities.max()), fragment(found))


async def _by_leaving_out(model: ServedModel, batcher: Batcher, text: str) -> Explained:
    found = await leaving_out.measure(text, model.labels, batcher.predict)
    html = _TEMPLATES.get_template("left_out.html").render(
        found=found,
        words=coloured(found.words, found.left_out.tolist()),
        most=leaving_out.MOST_WORDS,
    )
    return Explained(found.label, float(found.probabilities.max()), html)
