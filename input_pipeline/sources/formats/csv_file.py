"""Reads a CSV file with a header.

for row in read(Path("train.csv"), Columns("text", "label")): ...
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from input_pipeline.sources.formats.row import Columns, Row, plain_row, refusal
from input_pipeline.sources.formats.signature import check_is_utf8

_LONGEST_FIELD = 10**8  # characters; csv's default of 131,072 refuses long reviews
# Stands for NUL, which csv refuses before Python 3.11. No decoded text has this character.
_NUL = "\udc00"


def read(file: Path, columns: Columns) -> Iterator[Row]:
    """Yields the rows of a file, with the line in which each row begins."""
    check_is_utf8(file)
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        rows = _fields(file, lines)
        _, header = next(rows, (1, []))
        while header and not header[-1]:
            header.pop()
        text, label = columns.places(file, header)
        for line, fields in rows:
            if len(fields) < len(header) or any(fields[len(header) :]):
                raise refusal(
                    f"{file}, line {line}",
                    f"{len(fields)} {'field' if len(fields) == 1 else 'fields'}, the header has "
                    f"{len(header)}; put quotes around a text with commas",
                )
            text_line = line + sum(field.count("\n") for field in fields[:text])
            yield plain_row(file, text_line, fields[text], fields[label])


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
