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
from pathlib import Path
from typing import Any, NamedTuple

from storage.errors import UserError

_LONGEST_SHOWN = 60  # characters of a value in a message
# Categories of Unicode: control characters, halves of surrogate pairs, separators of lines.
NOT_UTF8 = "not UTF-8; convert the file"
_NOT_IN_NAMES = ("Cc", "Cs", "Zl", "Zp")


class Row(NamedTuple):
    """A review as a file holds it."""

    where: str  # such as "train.csv, line 3"
    text: str
    label: Any
    fault: str = ""  # why the text is not UTF-8, and what to do; "" when it is


def refusal(where: object, fault: str) -> UserError:
    """Returns the error of a file, or of a row in it."""
    return UserError(f"config.data.source: {where}: {fault}")


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
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    if isinstance(label, bool | int) or (isinstance(label, float) and math.isfinite(label)):
        return json.dumps(label)
    name = label.strip() if isinstance(label, str) else ""
    if not name or any(unicodedata.category(character) in _NOT_IN_NAMES for character in name):
        raise refusal(
            row.where,
            f"got the label {label!r}, accepted is a name or a number without line breaks and "
            "tabs; repair the label or remove the review",
        )
    return name


class Columns(NamedTuple):
    """The names of the columns, or keys, that hold a review's text and its label."""

    text: str
    label: str

    def places(self, file: Path, names: Sequence[str]) -> tuple[int, int]:
        """Returns the places of both columns among all; UserError when one is not there once."""
        doubled = [name for name in dict.fromkeys(names) if name and names.count(name) > 1]
        if doubled:
            raise refusal(file, f"two columns are named {doubled[0]!r}; rename one")
        if not {self.text, self.label} <= set(names):
            raise self.missing(file, f"the columns {', '.join(map(repr, names)) or '(none)'}")
        return names.index(self.text), names.index(self.label)

    def missing(self, where: object, found: str) -> UserError:
        """Returns the error of a file or row that has only the columns described by `found`."""
        return refusal(
            where,
            f"has {found}, but {self.text!r} and {self.label!r} are needed; name your columns "
            "with --config.data.text_column=NAME and --config.data.label_column=NAME",
        )
