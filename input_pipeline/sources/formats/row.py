"""What every format of file yields: rows with a text and a label.

    columns = Columns("text", "label")
    text, label = columns.places(file, ["id", "text", "label"])      # (1, 2)
    yield plain_row(file, 3, "A fine film.", "pos")

A `read` function of a format takes a path and Columns and yields a Row for each review. It raises
UserError with the file and the line for one that breaks the format, and OSError when the file
can't be read.
"""

import json
import math
import unicodedata
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from storage.errors import UserError

_LONGEST_SHOWN = 60  # characters of a value in a message
_LONGEST_LABEL = 100  # characters
MOST_COLUMNS = 20  # that a message names
NOT_UTF8 = "not UTF-8; convert the file"
# Categories of Unicode: control characters, halves of surrogate pairs, separators of lines.
_NOT_IN_NAMES = ("Cc", "Cs", "Zl", "Zp")


class Row(NamedTuple):
    """A review as a file holds it."""

    where: str  # such as "train.csv, line 3"
    text: str
    label: Any
    fault: str = ""  # why the text is not UTF-8, and what to do; "" when it is


class Refusal(UserError):
    """The error of a file of reviews, or of a row in it."""

    def __init__(self, where: object, fault: str):
        """`fault` says what is wrong at the place `where`, and what to do."""
        super().__init__(f"config.data.source: {where}: {fault}")
        self.where, self.fault = where, fault


def shown(value: Any) -> str:
    """Returns a value as a message shows it: in quotes if it is a text, cut when it is long."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def listed(names: Sequence[str], most: int = 5) -> str:
    """Returns "'a', 'b' and 7 more", at most `most` of the names; "" for none."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(shown, names[:most])) + more


def is_unicode(text: str) -> bool:
    """Returns True for a text that UTF-8 can represent.

    Bytes that are not UTF-8 stand in a text as halves of surrogate pairs ("surrogateescape").
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def plain_row(file: Path, line: int, text: str, label: Any) -> Row:
    """Returns the row of a text that begins in line `line` and has its line breaks in the file."""
    if is_unicode(text):
        return Row(f"{file}, line {line}", text, label)
    bad = next(place for place, character in enumerate(text) if not is_unicode(character))
    return Row(f"{file}, line {line + text.count(chr(10), 0, bad)}", text, label, NOT_UTF8)


def label_name(row: Row) -> str:
    """Returns the name of a row's label: a stripped text, or a number or truth value as text."""
    label = row.label
    if isinstance(label, float | Decimal) and math.isfinite(label):
        label = int(label) if label == int(label) else float(label)
    if isinstance(label, bool | int) or (isinstance(label, float) and math.isfinite(label)):
        return json.dumps(label)
    name = label.strip() if isinstance(label, str) else ""
    if len(name) > _LONGEST_LABEL:
        raise Refusal(
            row.where,
            f"got a label of {len(name):,} characters, accepted are up to {_LONGEST_LABEL}; name "
            "the column of the labels with --config.data.label_column=NAME, or shorten the label",
        )
    if not name or any(unicodedata.category(character) in _NOT_IN_NAMES for character in name):
        raise Refusal(
            row.where,
            f"got the label {shown(label)}, accepted is a text without line breaks and tabs, an "
            "integer, True/False or a finite number; repair the label or remove the review",
        )
    return name


def require_distinct(file: Path, names: Sequence[str], advice: str = "") -> None:
    """Raises UserError, which ends with `advice`, when two columns have the same name."""
    doubled = [name for name in dict.fromkeys(names) if name and names.count(name) > 1]
    if doubled:
        raise Refusal(file, f"two columns are named {shown(doubled[0])}; rename one{advice}")


class Columns(NamedTuple):
    """The names of the columns, or keys, that hold a review's text and its label."""

    text: str
    label: str

    def places(self, file: Path, names: Sequence[str], advice: str = "") -> tuple[int, int]:
        """Returns the places of both columns among all.

        Raises UserError, which ends with `advice`, when one is not there, or twice.
        """
        require_distinct(file, names, advice)
        if not {self.text, self.label} <= set(names):
            raise self.missing(file, "columns", names, advice)
        return names.index(self.text), names.index(self.label)

    def missing(self, where: object, kind: str, names: Sequence[str], advice: str = "") -> Refusal:
        """Returns the error of a file or row that has only the columns, or keys, `names`."""
        return Refusal(
            where,
            f"has the {kind} {listed(names, MOST_COLUMNS) or '(none)'}, but {self.text!r} and "
            f"{self.label!r} are needed; name your columns with --config.data.text_column=NAME and "
            f"--config.data.label_column=NAME{advice}",
        )
