"""Figures by matplotlib, drawn alike and ready to be put into a page.

    figure, axes = new_figure(6, 4)
    axes.plot(steps, losses, color=SERIES[0], label="train")
    as_svg(figure, "Loss of training, by step")     # for a page; follows its light or dark colours
    as_png(figure)

No function here uses pyplot, which keeps figures in memory and is not safe in threads.
"""

import io
import re
import warnings
from typing import IO, Any

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

INK, FAINT, LINE, PAPER = "#1b1f24", "#68707b", "#d4d9df", "#fffffe"
# Colours that people with any colour vision can tell apart (Okabe and Ito 2008,
# https://jfly.uni-koeln.de/color/), a little darker so that lines stand out on white.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#b85c93", "#3a9bd4", "#b8860b")
GOOD, BAD = "#0b6bb1", "#c7510b"  # for and against
_VARIABLES = {
    **{INK: "ink", FAINT: "faint", LINE: "line", PAPER: "paper", GOOD: "good", BAD: "bad"},
    **{color: f"series-{number}" for number, color in enumerate(SERIES, start=1)},
}
_STYLE = {
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.titlecolor"), INK),
    **dict.fromkeys(("xtick.color", "ytick.color"), FAINT),
    **dict.fromkeys(("axes.edgecolor", "grid.color"), LINE),
    **dict.fromkeys(("axes.facecolor", "figure.facecolor", "legend.facecolor"), PAPER),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right"), False),
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "font.size": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    # Text stays text: it can be selected, and a page's font is used.
    "svg.fonttype": "none",
    "svg.hashsalt": "longhaul",  # the same figure is the same text
    "text.parse_math": False,  # a $ in a name is a $
}
matplotlib.rcParams.update(_STYLE)  # what is drawn later, such as a legend, has it too

_PIXELS_PER_INCH = 144
_WITHOUT_DATE = {"Date": None, "Creator": None, "Format": None, "Type": None}
_COLOR = re.compile("|".join(_VARIABLES))
_TAG = re.compile("<[^>]*>")  # a text between tags may look like a colour
_SIZE = re.compile(r'\b(?:width|height|version)="[^"]*"\s*')
_RULE_FOR_THE_WHOLE_PAGE = re.compile(r"<defs>\s*<style.*?</style>\s*</defs>", re.DOTALL)


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Figure, Any]:
    """Returns a figure of a size in inches, and its axes as `Figure.subplots` returns them."""
    figure = Figure((width, height), layout="constrained")
    return figure, figure.subplots(rows, columns)


def as_svg(figure: Figure, description: str) -> Markup:
    """Returns a figure for a page; the description is for those who can't see it."""
    file = io.StringIO()
    _save(figure, file, format="svg", transparent=True, metadata=_WITHOUT_DATE)
    _, _, svg = file.getvalue().partition("<svg ")
    attributes, _, content = svg.partition(">")
    content = _RULE_FOR_THE_WHOLE_PAGE.sub("", content, count=1)
    content = content.replace("<g id=", "<g data-part=")  # ids have to be unique in a page
    content = _TAG.sub(_with_variables, content)
    # matplotlib escapes the figure's text.
    attributes, content = Markup(_SIZE.sub("", attributes)), Markup(content)  # noqa: S704
    opening = Markup('<svg class="figure" role="img" aria-label="{}" style="max-width: {}in" {}>')
    return opening.format(description, figure.get_figwidth(), attributes) + content


def as_png(figure: Figure) -> bytes:
    """Returns a figure as the bytes of a PNG file, in light colours."""
    file = io.BytesIO()
    _save(figure, file, format="png", dpi=_PIXELS_PER_INCH)
    return file.getvalue()


def _with_variables(tag: re.Match) -> str:
    """Returns a tag of SVG whose colours are the page's."""
    return _COLOR.sub(lambda color: f"var(--{_VARIABLES[color[0]]})", tag[0])


def _save(figure: Figure, file: IO[Any], **options: Any) -> None:
    with warnings.catch_warnings():
        # A page's own font may have it; an image shows a box in its place.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(file, **options)
