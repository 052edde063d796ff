"""The interface of a file to predict: rows with a text, which are written again with an answer.

    table = open_table(Path("reviews.csv"), "text")
    texts = [row.text for row in table.rows() if not row.fault]
    table.write(Path("predicted.csv"), iter([Prediction("positive", 0.98), ...]))

A table reads its file from the start each time, and holds a few rows of it at most.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from input_pipeline.sources.formats.row import MOST_COLUMNS, Refusal, listed, require_distinct

LABEL, PROBABILITY = "predicted_label", "probability"  # the columns that are added


class Row(NamedTuple):
    """A row whose label is to be predicted."""

    where: str  # such as "reviews.csv, line 3"
    text: str  # "" when there is a fault
    fault: str  # why it can't be predicted, and what to do; "" when it can


class Prediction(NamedTuple):
    """What is predicted for a row."""

    label: str
    probability: float


class Table(Protocol):
    """A file of rows. Methods raise Refusal when it is no intact file of its format."""

    def rows(self) -> Iterator[Row]:
        """Yields all rows in order."""

    def write(self, output: Path, predictions: Iterator[Prediction]) -> None:
        """Writes the rows without a fault to a new file, with a prediction each."""


def require_columns(file: Path, names: Sequence[str], text: str, advice: str = "") -> None:
    """Raises Refusal unless `names` has the column `text`, none twice and none that is added."""
    require_distinct(file, names, advice)
    if fault := fault_of_names(names, text, "columns"):
        raise Refusal(file, fault if text in names else fault + advice)


def fault_of_names(names: Sequence[str], text: str, kind: str) -> str:
    """Returns what is wrong with the names of columns, or of other `kind`; "" for nothing."""
    if text not in names:
        found = listed(names, MOST_COLUMNS) or "(none)"
        return f"has the {kind} {found}, but {text!r} is needed; name yours with --text_column=NAME"
    for name in (LABEL, PROBABILITY):
        if name in names:
            return f"has {name!r} among its {kind}, which the output gets; rename or remove it"
    return ""
