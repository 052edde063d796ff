"""A Parquet file whose rows are predicted. See `table.py` for the interface.

The output has the schema of the input with its metadata, and two columns more.
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

        schema = self._schema.append(pyarrow.field(LABEL, pyarrow.string()))
        schema = schema.append(pyarrow.field(PROBABILITY, pyarrow.float32()))
        with parquet.ParquetWriter(output, schema) as writer:
            for batch in parquet_file.batches(self._file, _ROW_GROUP):
                good = [not fault for _, fault in self._texts(batch)]
                kept = batch.filter(pyarrow.array(good, pyarrow.bool_()))
                answers = list(itertools.islice(predictions, len(kept)))
                labels = pyarrow.array([answer.label for answer in answers], pyarrow.string())
                numbers = [answer.probability for answer in answers]
                arrays = [*kept.columns, labels, pyarrow.array(numbers, pyarrow.float32())]
                writer.write_batch(pyarrow.record_batch(arrays, schema))

    def _texts(self, batch: Any) -> Iterator[tuple[str, str]]:
        """Yields the text and the fault of each row of a batch; one of them is ""."""
        for value in parquet_file.values(batch.column(self._text)):
            fault = parquet_file.fault_of(value, self._text)
            fault = fault or ("" if is_unicode(value) else NOT_UTF8)
            yield "" if fault else value, fault
