"""Reads a CSV file with a header.

for row in read(Path("train.csv"), Columns("text", "label")): ...
"""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

from input_pipeline.sources.formats.row import Columns, Refusal, Row, plain_row, shown
from input_pipeline.sources.formats.signature import check_is_utf8

_LONGEST_FIELD = 10**8  # characters; csv's default of 131,072 refuses long reviews
HEADER_ADVICE = (
    "; the first line must hold the column names; they are compared exactly, with case and spaces"
)
# Stands for NUL, which csv refuses before Python 3.11. No decoded text has this character.
_NUL = "\udc00"


class Record(NamedTuple):
    """A row as the file holds it."""

    line: int  # in which it begins
    fields: list[str]
    fault: str  # why the fields don't fit the header, and what to do; "" when they do


def read(file: Path, columns: Columns) -> Iterator[Row]:
    """Yields the rows of a file, with the line in which each row begins."""
    with opened(file) as lines:
        names, records = table(file, lines)
        text, label = columns.places(file, names, HEADER_ADVICE)
        for line, fields, fault in records:
            if fault:
                raise Refusal(f"{file}, line {line}", fault)
            text_line = line + sum(field.count("\n") for field in fields[:text])
            yield plain_row(file, text_line, fields[text], fields[label])


def opened(file: Path) -> TextIO:
    """Opens a file for `table`. Bytes that are not UTF-8 become halves of surrogate pairs."""
    check_is_utf8(file)
    return file.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def table(file: Path, lines: Iterable[str]) -> tuple[list[str], Iterator[Record]]:
    """Returns the names of the columns, and the records; `lines` are those of the open file.

    Empty names at the end are left out. A record has at least as many fields as there are names,
    unless it has a fault; further ones are empty. Raises Refusal for a file without a header, and
    when quotes leave open where a record ends.
    """
    rows = _fields(file, lines)
    _, header = next(rows, (1, []))
    width = len(header)
    while header and not header[-1]:
        header.pop()
    _check_header(file, header)
    named = len(header)
    return header, (Record(line, fields, _misfit(fields, named, width)) for line, fields in rows)


def _check_header(file: Path, header: list[str]) -> None:
    """Raises Refusal for a header, without empty names at its end, that is none."""
    if not header:
        raise Refusal(file, "is empty; the first line must hold the column names")
    if header[0].startswith("sep="):
        raise Refusal(
            file,
            "begins with a note to Excel ('sep='), not with the column names; delete the line and "
            "separate columns with commas",
        )
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        raise Refusal(
            file, f"the header has one column, {shown(header[0])}; separate columns with commas"
        )


def _misfit(fields: list[str], named: int, width: int) -> str:
    """Returns why a row doesn't fit a header, and what to do; "" when it fits.

    Args:
        fields: those of the row.
        named: columns of the header up to the last one with a name.
        width: columns of the header.
    """
    if len(fields) >= named and not any(fields[named:]):
        return ""
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


def _fields(file: Path, lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
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
            raise Refusal(
                f"{file}, line {line}",
                f'{error}; close each quoted text, and write a quote within it twice ("" and not '
                '\\")',
            ) from error
        if fields:
            yield line, [field.replace(_NUL, "\0") for field in fields]
