"""The words of a review, each tinted by a number: blue for, orange against.

coloured(["a", "dull", "film"], [0.0, -1.2, 0.1])
"""

from collections.abc import Sequence

from markupsafe import Markup

_FAINTEST = 0.05  # of the largest value; what is below has no colour


def coloured(words: Sequence[str], values: Sequence[float]) -> Markup:
    """Returns HTML of the words, tinted by their values relative to the largest one.

    The number is in the word's title. A word against is underlined too, for those who don't see
    its colour.
    """
    largest = max(map(abs, values), default=0.0) or 1.0
    return Markup(" ").join(
        _span(word, float(value), abs(value) / largest)
        for word, value in zip(words, values, strict=True)
    )


def _span(word: str, value: float, share: float) -> Markup:
    if share < _FAINTEST:
        return Markup('<span title="{:+.3f}">{}</span>').format(value, word)
    kind = "for" if value > 0 else "against"
    return Markup('<span class="word {}" style="--tint: {:.2f}" title="{:+.3f}">{}</span>').format(
        kind, 0.7 * share, value, word
    )
