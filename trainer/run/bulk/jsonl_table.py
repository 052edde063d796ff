"""A JSONL file whose rows are predicted. See `table.py` for the interface.

A line of the output is that of the input to the letter, so numbers and escapes are what they were,
with two more keys at the end of its object.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from input_pipeline.sources.formats import jsonl_file
from input_pipeline.sources.formats.row import NOT_UTF8, Refusal, is_unicode
from trainer.run.bulk.table import LABEL, PROBABILITY, Prediction, Row, fault_of_names


class JsonlTable:
    """The objects of a JSONL file; blank lines are skipped."""

    def __init__(self, file: Path, text: str):
        self._file, self._text = file, text

    def rows(self) -> Iterator[Row]:
        """Yields all rows, with the line of each."""
        for row, _ in self._records():
            yield row

    def write(self, output: Path, predictions: Iterator[Prediction]) -> None:
        """Writes the lines without a fault."""
        with output.open("w", encoding="utf-8", newline="") as file:
            good = (line for row, line in self._records() if not row.fault)
            for line, prediction in zip(good, predictions, strict=True):
                file.write(_extended(line, prediction))

    def _records(self) -> Iterator[tuple[Row, str]]:
        """Yields each row with its line."""
        for where, line in jsonl_file.lines(self._file):
            try:
                text = self._read(where, line)
            except Refusal as refusal:
                yield Row(where, "", refusal.fault), line
            else:
                yield Row(where, text, ""), line

    def _read(self, where: str, line: str) -> str:
        """Returns the text in a line; Refusal when it can't be predicted or written again."""
        found = jsonl_file.parse(where, line)
        text = found.get(self._text)
        fault = (
            fault_of_names(list(found), self._text, "keys")
            or jsonl_file.fault_of_kind(text, self._text)
            or jsonl_file.fault_of_encoding(text or "", line)
            or ("" if is_unicode(line) else NOT_UTF8)
        )
        if fault:
            raise Refusal(where, fault)
        return str(text)


def _extended(line: str, prediction: Prediction) -> str:
    """Returns a line, whose object is not empty, with a prediction as its last keys."""
    added = json.dumps({LABEL: prediction.label}, ensure_ascii=False)[1:-1]
    # Not by `dumps`, which would write a small number with an exponent.
    added += f', "{PROBABILITY}": {prediction.probability:.7f}'
    return f"{line.rstrip().removesuffix('}').rstrip()}, {added}}}\n"
