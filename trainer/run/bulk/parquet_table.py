"""A Parquet file whose rows are predicted. See `table.py` for the interface.

The output has the schema of the input with its metadata, and two more columns.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from input_pipeline.sources.formats import parquet_file
from input_pipeline.sources.formats.row import NOT_UTF8, is_unicode
from trainer.run.bulk.table import LABEL, PROBABILITY, Prediction, Row, require_columns

_BATCH = 1024  # rows
_ROW_GROUP = 8192  # rows of the output that are compressed together


class ParquetTable:
    """The rows of a Parquet file."""

    def __init__(self, file: Path, text: str):
        self._file, self._text = file, text
        self._schema = parquet_file.schema(file)
        require_columns(file, self._schema.names, text)

    def rows(self) -> Iterator[Row]:
        """Yields all rows, numbered from 1."""
        number = 0
        for batch in parquet_file.batches(self._file, _BATCH, [self._text]):
            for text, fault in self._texts(batch):
                number += 1
                yield Row(f"{self._file}, row {number}", text, fault)

    def write(self, output: Path, predictions: Iterator[Prediction]) -> None:
        """Writes the rows without a fault."""
        import pyarrow
        from pyarrow import parquet

        label = pyarrow.field(LABEL, pyarrow.string())
        probability = pyarrow.field(PROBABILITY, pyarrow.float32())
        schema = self._schema.append(label).append(probability)
        with parquet.ParquetWriter(output, schema) as writer:
            for batch in parquet_file.batches(self._file, _ROW_GROUP):
                # Not by `filter`, which can't do with every type of column.
                parts = [batch.slice(start, count) for start, count in self._good(batch)]
                kept = pyarrow.Table.from_batches(parts, self._schema)
                answers = list(itertools.islice(predictions, len(kept)))
                labels = pyarrow.array((a.label for a in answers), pyarrow.string())
                numbers = pyarrow.array((a.probability for a in answers), pyarrow.float32())
                kept = kept.append_column(label, labels).append_column(probability, numbers)
                writer.write_table(kept)

    def _good(self, batch: Any) -> Iterator[tuple[int, int]]:
        """Yields the first row and the number of rows of each part without a fault."""
        start = 0
        for is_bad, part in itertools.groupby(bool(fault) for _, fault in self._texts(batch)):
            count = len(list(part))
            if not is_bad:
                yield start, count
            start += count

    def _texts(self, batch: Any) -> Iterator[tuple[str, str]]:
        """Yields the text and the fault of each row of a batch; one of them is ""."""
        for value in parquet_file.values(batch.column(self._text)):
            fault = parquet_file.fault_of(value, self._text)
            fault = fault or ("" if is_unicode(value) else NOT_UTF8)
            yield "" if fault else value, fault
