"""Reads a Parquet file, which needs the extra `parquet`.

for row in read(Path("train.parquet"), Columns("text", "label")): ...
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from input_pipeline.sources.formats.row import NOT_UTF8, Columns, Row, is_unicode, refusal
from storage.errors import UserError

_BATCH = 1024  # rows
_TEXTS = ("string", "large_string", "binary", "large_binary")  # and their views


def read(file: Path, columns: Columns) -> Iterator[Row]:
    """Yields the rows of a file, numbered from 1."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise UserError(
            f"config.data.source: {file}: Parquet needs pyarrow; pip install 'longhaul[parquet]'"
        ) from error
    with file.open("rb") as content:
        # A damaged part of a file raises OSError too.
        try:
            table = parquet.ParquetFile(content)
            columns.places(file, table.schema_arrow.names)
            number = 0
            for batch in table.iter_batches(_BATCH, columns=[columns.text, columns.label]):
                texts, labels = (_values(batch.column(name)) for name in columns)
                for text, label in zip(texts, labels, strict=True):
                    number += 1
                    yield _row(f"{file}, row {number}", text, label, columns)
        except (pyarrow.ArrowException, OSError) as error:
            reason = str(error).partition("\n")[0]
            raise refusal(file, f"no intact Parquet file ({reason}); write it again") from error


def _values(column: Any) -> list[Any]:
    """Returns the values of a pyarrow.Array as numbers, truth values and texts, None for null."""
    is_dictionary = str(column.type).startswith("dictionary")
    kind = column.type.value_type if is_dictionary else column.type
    if not str(kind).startswith(_TEXTS):
        return column.to_pylist()
    # As bytes, since Parquet doesn't promise that its strings are UTF-8.
    values = column.cast("large_binary").to_pylist()
    return [None if value is None else value.decode(errors="surrogateescape") for value in values]


def _row(where: str, text: Any, label: Any, columns: Columns) -> Row:
    if not isinstance(text, str):
        kind = "null" if text is None else f"of type {type(text).__name__}"
        raise refusal(where, f"no text, {columns.text!r} is {kind}; remove or repair the row")
    return Row(where, text, label, "" if is_unicode(text) else NOT_UTF8)
