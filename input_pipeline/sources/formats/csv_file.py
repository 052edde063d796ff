"""Reads a CSV file with a header.

for row in read(Path("train.csv"), Columns("text", "label")): ...
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from input_pipeline.sources.formats.row import Columns, Row, plain_row, refusal, shown
from input_pipeline.sources.formats.signature import check_is_utf8

_LONGEST_FIELD = 10**8  # characters; csv's default of 131,072 refuses long reviews
_HEADER_ADVICE = (
    "; the first line must hold the column names; they are compared exactly, with case and spaces"
)
# Stands for NUL, which csv refuses before Python 3.11. No decoded text has this character.
_NUL = "\udc00"


def read(file: Path, columns: Columns) -> Iterator[Row]:
    """Yields the rows of a file, with the line in which each row begins."""
    check_is_utf8(file)
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        rows = _fields(file, lines)
        _, header = next(rows, (1, []))
        width = len(header)
        while header and not header[-1]:
            header.pop()
        text, label = _places(file, header, columns)
        for line, fields in rows:
            if len(fields) < len(header) or any(fields[len(header) :]):
                raise refusal(f"{file}, line {line}", _misfit(fields, len(header), width))
            text_line = line + sum(field.count("\n") for field in fields[:text])
            yield plain_row(file, text_line, fields[text], fields[label])


def _places(file: Path, header: list[str], columns: Columns) -> tuple[int, int]:
    """Returns the places of the text and the label in a header without empty names at its end."""
    if not header:
        raise refusal(file, "is empty; the first line must hold the column names")
    if header[0].startswith("sep="):
        raise refusal(
            file,
            "begins with a note to Excel ('sep='), not with the column names; delete the line and "
            "separate columns with commas",
        )
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        raise refusal(
            file, f"the header has one column, {shown(header[0])}; separate columns with commas"
        )
    return columns.places(file, header, _HEADER_ADVICE)


def _misfit(fields: list[str], named: int, width: int) -> str:
    """Returns what is wrong with a row that doesn't fit a header, and what to do.

    Args:
        fields: those of the row.
        named: columns of the header up to the last one with a name.
        width: columns of the header.
    """
    filled = next((place for place in range(named, len(fields)) if fields[place]), width)
    if filled < width:
        return (
            f"column {filled + 1} has a value but no name in the header; name the column or remove "
            "the value"
        )
    return (
        f"{len(fields)} {'field' if len(fields) == 1 else 'fields'}, the header has {named}; put "
        "quotes around a text with commas"
    )


def _fields(file: Path, lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    """Yields the number of the first line and the fields of each row that is not empty."""
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.reader((line.replace("\0", _NUL) for line in lines), strict=True)
    while True:
        line = reader.line_num + 1  # a quoted text may span several lines
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise refusal(
                f"{file}, line {line}",
                f'{error}; close each quoted text, and write a quote within it twice ("" and not '
                '\\")',
            ) from error
        if fields:
            yield line, [field.replace(_NUL, "\0") for field in fields]
