"""An explanation as a picture and as a page: what a network does with one review.

    figures.as_png(figure(explanation, most_interesting(explanation)))
    page_of(explanation)                # a page of its own, with all words
    fragment(explanation)               # the same for another page

The picture has a column for each word. From top to bottom: the probability so far, each word's part
in the verdict by two measures, and for each layer its gates and its cell, with a row for each unit.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure

from trainer.learning.explainer import Explanation, LayerGates
from trainer.pages import figures, page
from trainer.pages.words import coloured

_INCHES_PER_WORD, _INCHES_PER_UNIT, _INCHES_PER_LETTER = 0.2, 0.028, 0.075
_LEFT, _RIGHT = 0.55, 0.1  # inches beside the panels, for ticks
_WORDS_PER_TITLE = 50  # a title is repeated for those who scroll
_LONGEST_LABEL = 18  # characters
_MOST_WORDS = 60  # of a picture that isn't scrolled
# Fully transparent for 0, so that it has the colour of the paper, be it light or dark. The colours
# stand out on both, and people with any colour vision can tell them apart.
_BLUE, _ORANGE = to_rgb("#2b8fd0"), to_rgb("#e0732a")
_SHARE = ListedColormap([(*_BLUE, share) for share in np.linspace(0, 1, 256)])
_SIGNED = ListedColormap(
    [(*(_ORANGE if value < 0 else _BLUE), abs(value)) for value in np.linspace(-1, 1, 255)]
)


class _Panel(NamedTuple):
    """A part of the picture as wide as its words."""

    height: float  # inches
    title: str
    draw: Callable[[Any], None]  # into the axes
    has_words: bool = False  # below


def figure(explanation: Explanation, words: slice = slice(None)) -> Figure:
    """Draws an explanation, of a stretch of its words only where `words` says so."""
    labels = [_shortened(word) for word in explanation.words[words]]
    panels = _verdict_panels(explanation, words)
    for layer in explanation.layers:
        panels += _layer_panels(layer, words)
    tops, height = _tops(panels, below=0.2 + _INCHES_PER_LETTER * max(map(len, labels)))
    width = max(8.0, _INCHES_PER_WORD * len(labels))
    drawn, axes = figures.new_figure(_LEFT + width + _RIGHT, height, rows=len(panels))
    drawn.set_layout_engine("none")  # the words would take it seconds to measure
    for panel, top, place in zip(panels, tops, axes, strict=True):
        _place(place, (_LEFT, height - top - panel.height), (width, panel.height))
        _frame(place, panel, labels, explanation.known[words])
        panel.draw(place)
    return drawn


def _place(axes: Any, corner: tuple[float, float], size: tuple[float, float]) -> None:
    """Moves axes to their lower left corner from that of the figure, all in inches."""
    width, height = axes.figure.get_size_inches()
    axes.set_position((corner[0] / width, corner[1] / height, size[0] / width, size[1] / height))


def _tops(panels: Sequence[_Panel], below: float) -> tuple[list[float], float]:
    """Returns how far from the top the panels begin and where the last one ends, in inches.

    `below` is the height of the words below a panel that has them.
    """
    tops, end = [], 0.1
    for panel in panels:
        tops.append(end + (0.22 if panel.title else 0.04))
        end = tops[-1] + panel.height + (below if panel.has_words else 0.04)
    return tops, end


def most_interesting(explanation: Explanation, most: int = _MOST_WORDS) -> slice:
    """Returns the stretch of up to `most` words that has the largest attributions."""
    sums = np.cumsum([0.0, *np.abs(explanation.attributions)])
    width = min(most, len(explanation.words))
    start = int(np.argmax(sums[width:] - sums[:-width]))
    return slice(start, start + width)


def fragment(explanation: Explanation) -> Markup:
    """Returns an explanation as HTML for a page that extends base.html."""
    return Markup(page.render("explanation_fragment.html", **_values(explanation)))  # noqa: S704


def page_of(explanation: Explanation) -> str:
    """Returns an explanation as a page that needs no other file."""
    return page.render("explanation.html", **_values(explanation))


def _values(explanation: Explanation) -> dict[str, Any]:
    """Returns what the templates show."""
    drawn = figure(explanation)
    description = (
        f"Probability of {explanation.explained} after each word, each word's part in it, and the "
        "gates of each layer; the table below has the numbers"
    )
    return {
        "explanation": explanation,
        "probability": explanation.probabilities.max(),
        "words": coloured(explanation.words, explanation.attributions.tolist()),
        "figure": figures.as_svg(drawn, description),
        "width": drawn.get_figwidth(),
        "means": _means(explanation.layers),
    }


def _means(layers: Sequence[LayerGates]) -> list[tuple[str, np.ndarray]]:
    """Returns names and means over the units <float32>[words] of each layer's three gates."""
    return [
        (f"{layer.name} {gate}", getattr(layer, gate).mean(axis=1))
        for layer in layers
        for gate in ("input", "forget", "output")
    ]


def _verdict_panels(explanation: Explanation, words: slice) -> list[_Panel]:
    label, count = explanation.explained, len(explanation.words)
    start, stop, _ = words.indices(count)
    which = f", words {start + 1} to {stop} of {count}" if stop - start < count else ""
    return [
        _Panel(
            0.9,
            f"Probability of {label} after each word{which}",
            lambda axes: _draw_line(axes, explanation.so_far[words], figures.INK),
        ),
        _Panel(
            0.8,
            f"Each word's part in the log-odds of {label}, by integrated gradients",
            lambda axes: _draw_bars(axes, explanation.attributions[words]),
        ),
        _Panel(
            0.8,
            f"Log-odds of {label} with the word minus without it",
            lambda axes: _draw_bars(axes, explanation.left_out[words]),
            has_words=True,
        ),
    ]


def _layer_panels(layer: LayerGates, words: slice) -> list[_Panel]:
    """Returns for each gate and the cell the mean of all units, and below it each unit."""
    order = np.argsort(-layer.influence)
    height = float(np.clip(_INCHES_PER_UNIT * len(order), 0.5, 1.8))
    # A few cells far out would make all others pale.
    largest = max(float(np.quantile(np.abs(layer.cell), 0.98)), 1e-6)
    shown = {
        "input gate": (layer.input, _SHARE, (0.0, 1.0)),
        "forget gate": (layer.forget, _SHARE, (0.0, 1.0)),
        "output gate": (layer.output, _SHARE, (0.0, 1.0)),
        "cell": (layer.cell, _SIGNED, (-largest, largest)),
    }
    panels = []
    for name, (values, colors, limits) in shown.items():
        means = np.abs(values[words]).mean(axis=1)
        title = f"{layer.name.capitalize()}, {name}"
        panels.append(_Panel(0.28, title, _line_drawer(means, limits[1])))
        draw = _heat_map_drawer(values[words, order].T, colors, limits)
        panels.append(_Panel(height, "", draw, has_words=name == "cell"))
    return panels


def _line_drawer(values: np.ndarray, top: float) -> Callable[[Any], None]:
    return lambda axes: _draw_line(axes, values, figures.FAINT, top)


def _heat_map_drawer(
    values: np.ndarray, colors: ListedColormap, limits: tuple[float, float]
) -> Callable[[Any], None]:
    """Returns what draws values [units, words] between the limits."""

    def draw(axes: Any) -> None:
        axes.imshow(values, colors, aspect="auto", interpolation="none", clim=limits)
        axes.set(yticks=[])
        axes.set_ylabel("units", rotation=0, ha="right", va="center")

    return draw


def _draw_line(axes: Any, values: np.ndarray, color: str, top: float = 1.0) -> None:
    """Draws values <float32>[words] from 0 to `top`, a level stretch for each word."""
    edges = np.arange(len(values) + 1) - 0.5
    axes.stairs(values, edges, color=color, fill=True, alpha=0.25)
    axes.stairs(values, edges, color=color, baseline=None, linewidth=1.2)
    axes.set(ylim=(0, 1.02 * top), yticks=[0, top], yticklabels=["0", f"{top:.2g}"])


def _draw_bars(axes: Any, values: np.ndarray) -> None:
    """Draws values <float32>[words] up or down, in the colours for and against."""
    edges = np.arange(len(values) + 1) - 0.5
    for part, color in ((np.maximum, figures.GOOD), (np.minimum, figures.BAD)):
        axes.stairs(part(values, 0), edges, color=color, fill=True)
    axes.axhline(0, color=figures.FAINT, linewidth=0.8)


def _frame(axes: Any, panel: _Panel, labels: Sequence[str], known: np.ndarray) -> None:
    """Sets the columns of an axes, its title and its words; unknown words are faint."""
    axes.grid(False)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(length=0)
    axes.set(xlim=(-0.5, len(labels) - 0.5), xticks=[])
    text = functools.partial(axes.text, transform=axes.get_xaxis_transform())
    for place in range(0, len(labels), _WORDS_PER_TITLE) if panel.title else ():
        text(place - 0.5, 1 + 0.06 / panel.height, panel.title)
    colors = np.where(known, figures.INK, figures.FAINT)
    # Ticks would take seconds for a long review.
    for place, label in enumerate(labels) if panel.has_words else ():
        style = {"rotation": 90, "ha": "center", "va": "top", "fontsize": 8}
        text(place, -0.06 / panel.height, label, color=colors[place], **style)


def _shortened(word: str) -> str:
    return word if len(word) <= _LONGEST_LABEL else f"{word[: _LONGEST_LABEL - 1]}…"
