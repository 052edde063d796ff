"""A CSV file whose rows are predicted. See `table.py` for the interface.

The output has the columns of the input in their order, its line ends, and a byte order mark if the
input has one.
"""

import codecs
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from input_pipeline.sources.formats import csv_file
from input_pipeline.sources.formats.row import NOT_UTF8, Refusal, is_unicode
from trainer.run.bulk.table import LABEL, PROBABILITY, Prediction, Row, require_columns

# A writer quotes a field with one of the characters that end its rows: so CR as well as LF.
_CRLF = "\r\n"


class CsvTable:
    """The rows of a CSV file with a header."""

    def __init__(self, file: Path, text: str):
        with csv_file.opened(file) as lines:
            self._names, _ = csv_file.table(file, lines)
        require_columns(file, self._names, text, csv_file.HEADER_ADVICE)
        if not all(map(is_unicode, self._names)):
            raise Refusal(file, f"the name of a column is {NOT_UTF8}")
        self._file, self._place = file, self._names.index(text)

    def rows(self) -> Iterator[Row]:
        """Yields all rows, with the line in which each begins."""
        for record in self._records():
            text = "" if record.fault else record.fields[self._place]
            yield Row(f"{self._file}, line {record.line}", text, record.fault)

    def write(self, output: Path, predictions: Iterator[Prediction]) -> None:
        """Writes the rows without a fault, quoted where they have to be."""
        mark, end = self._style()
        with output.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(_Rows(file, end), lineterminator=_CRLF)
            file.write(mark)
            writer.writerow([*self._names, LABEL, PROBABILITY])
            good = (record for record in self._records() if not record.fault)
            for record, (label, probability) in zip(good, predictions, strict=True):
                writer.writerow([*record.fields, label, f"{probability:.7f}"])

    def _records(self) -> Iterator[csv_file.Record]:
        """Yields the records; one that is not UTF-8 has a fault."""
        with csv_file.opened(self._file) as lines:
            _, records = csv_file.table(self._file, lines)
            for line, fields, fault in records:
                if not fault and not all(map(is_unicode, fields)):
                    fault = NOT_UTF8
                yield csv_file.Record(line, fields[: len(self._names)], fault)

    def _style(self) -> tuple[str, str]:
        """Returns the byte order mark and the line end of the file; "" and LF without one."""
        with self._file.open("rb") as file:
            has_mark = file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8
        with csv_file.opened(self._file) as lines:
            first = lines.readline()
        return "\ufeff" if has_mark else "", first[len(first.rstrip(_CRLF)) :] or "\n"


class _Rows:
    """Takes rows of a csv.writer and ends them as the file should."""

    def __init__(self, file: TextIO, end: str):
        self._file, self._end = file, end

    def write(self, row: str) -> int:
        """Writes a row."""
        return self._file.write(row.removesuffix(_CRLF) + self._end)
