"""The formats of files that can be predicted, by their endings.

table = open_table(Path("reviews.csv"), "text")
"""

from collections.abc import Callable
from pathlib import Path

from trainer.run.bulk.csv_table import CsvTable
from trainer.run.bulk.jsonl_table import JsonlTable
from trainer.run.bulk.parquet_table import ParquetTable
from trainer.run.bulk.table import Table

TABLES: dict[str, Callable[[Path, str], Table]] = {
    ".csv": CsvTable,
    ".jsonl": JsonlTable,
    ".parquet": ParquetTable,
}


def open_table(file: Path, text: str) -> Table:
    """Opens a file, whose texts are in the column `text`.

    Raises Refusal when it has no such column, and OSError when it can't be read.
    """
    return TABLES[file.suffix.lower()](file, text)
