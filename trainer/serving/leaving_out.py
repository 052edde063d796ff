"""What the words of a text do to its prediction, where nothing but the predictions is known.

    words = await measure("A film to remember.", labels, batcher.predict)

Each word is left out in turn, see `WordsLeftOut`. It works for an export, whose network can't be
looked into.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import numpy as np

MOST_WORDS = 256  # left out in turn, each a prediction
_SMALLEST = np.finfo(np.float32).tiny


class WordsLeftOut(NamedTuple):
    """A prediction, and how it changes without each word."""

    label: str  # the predicted one
    probabilities: np.ndarray  # <float32>[labels]
    explained: str  # the positive label of two, otherwise the predicted one
    words: tuple[str, ...]  # what white space separates
    # <float32>[words], the logit of `explained` minus that of the text without the word
    left_out: np.ndarray


async def measure(
    text: str, labels: Sequence[str], predict: Callable[[list[bytes]], Awaitable[np.ndarray]]
) -> WordsLeftOut:
    """Predicts a text without each of its words; `predict` returns <float32>[texts, labels].

    A text of more than MOST_WORDS is only predicted: its `words` are empty.
    """
    words = tuple(text.split())
    words = () if len(words) > MOST_WORDS else words
    without = [" ".join(words[:number] + words[number + 1 :]) for number in range(len(words))]
    probabilities = await predict([text.encode(), *(part.encode() for part in without)])
    predicted = int(probabilities[0].argmax())
    number = 1 if len(labels) == 2 else predicted
    logits = _logit(probabilities, number)
    return WordsLeftOut(
        label=labels[predicted],
        probabilities=probabilities[0],
        explained=labels[number],
        words=words,
        left_out=logits[0] - logits[1:],
    )


def _logit(probabilities: np.ndarray, number: int) -> np.ndarray:
    """Returns the log-odds <float32>[texts] of a label from all probabilities, which may be 0."""
    # Not 1 minus the label's, of which rounding leaves nothing where the network is certain.
    others = np.delete(probabilities, number, axis=1).sum(axis=1)
    label = probabilities[:, number]
    return np.log(np.maximum(label, _SMALLEST)) - np.log(np.maximum(others, _SMALLEST))
