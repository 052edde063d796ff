"""Reads a Parquet file, which needs the extra `parquet`.

for row in read(Path("train.parquet"), Columns("text", "label")): ...
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from input_pipeline.sources.formats.row import NOT_UTF8, Columns, Refusal, Row, is_unicode

_BATCH = 1024  # rows
_TEXTS = ("string", "large_string", "binary", "large_binary")  # and their views


def read(file: Path, columns: Columns) -> Iterator[Row]:
    """Yields the rows of a file, numbered from 1."""
    columns.places(file, schema(file).names)
    number = 0
    for batch in batches(file, _BATCH, list(columns)):
        for text, label in zip(*map(values, batch.columns), strict=True):
            number += 1
            where = f"{file}, row {number}"
            if fault := fault_of(text, columns.text):
                raise Refusal(where, fault)
            yield Row(where, text, label, "" if is_unicode(text) else NOT_UTF8)


def schema(file: Path) -> Any:
    """Returns the pyarrow.Schema of a file; Refusal when it is no intact Parquet file."""
    with _intact(file), file.open("rb") as content:
        return _parquet().ParquetFile(content).schema_arrow


def batches(file: Path, rows: int, columns: list[str] | None = None) -> Iterator[Any]:
    """Yields pyarrow.RecordBatch of up to `rows` rows, with the named columns, by default all.

    Raises Refusal when a part of the file is damaged.
    """
    with file.open("rb") as content:
        with _intact(file):
            found = _parquet().ParquetFile(content).iter_batches(rows, columns=columns)
        while True:
            with _intact(file):
                batch = next(found, None)
            if batch is None:
                return
            yield batch if columns is None else batch.select(columns)


def _parquet() -> ModuleType:
    from pyarrow import parquet

    return parquet


@contextlib.contextmanager
def _intact(file: Path) -> Iterator[None]:
    """Raises Refusal without pyarrow, or when the context can't read a part of the file."""
    try:
        import pyarrow
    except ImportError as error:
        raise Refusal(file, "Parquet needs pyarrow; pip install 'longhaul[parquet]'") from error
    # A damaged part of a file raises OSError too.
    try:
        yield
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise Refusal(file, f"no intact Parquet file ({reason}); write it again") from error


def values(column: Any) -> list[Any]:
    """Returns the values of a pyarrow.Array as numbers, truth values and texts, None for null."""
    is_dictionary = str(column.type).startswith("dictionary")
    kind = column.type.value_type if is_dictionary else column.type
    if not str(kind).startswith(_TEXTS):
        return column.to_pylist()
    # As bytes, since Parquet doesn't promise that its strings are UTF-8.
    values = column.cast("large_binary").to_pylist()
    return [None if value is None else value.decode(errors="surrogateescape") for value in values]


def fault_of(text: Any, name: str) -> str:
    """Returns why a value of the column `name` is no text, and what to do; "" when it is one."""
    if isinstance(text, str):
        return ""
    kind = "null" if text is None else f"of type {type(text).__name__}"
    return f"no text, {name!r} is {kind}; remove or repair the row"
