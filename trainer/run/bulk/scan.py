"""Reads a file before the first prediction: its digest, how many rows it has, and which are bad.

    found = scan(table, file)
    found.require_good("fail")      # UserError when a row can't be predicted

So a bad row is found at the start and not after an hour of predictions.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from input_pipeline.sources.formats.row import Refusal
from storage import checksum
from storage.errors import UserError
from trainer.run.bulk.partial import explained
from trainer.run.bulk.table import Table

MOST_NAMED = 10  # bad rows


class Scan(NamedTuple):
    """What is known of a file."""

    digest: str  # SHA-256 of its bytes, in hex
    rows: int  # that can be predicted
    blank: int  # of them without a word or any other character
    bad: int
    named: list[str]  # the first bad ones: where each is, what is wrong, and what to do

    def require_good(self, on_bad_row: str) -> None:
        """Raises UserError for bad rows; with `on_bad_row` "skip" only if there are no others."""
        if self.bad and (on_bad_row == "fail" or not self.rows):
            more = f" (and {self.bad - 1:,} more bad row(s))" if self.bad > 1 else ""
            advice = ", or leave such rows out with --on_bad_row=skip" if self.rows else ""
            raise UserError(f"--input: {self.named[0]}{advice}{more}")


def scan(table: Table, file: Path) -> Scan:
    """Reads all rows of a table, which is that of `file`."""
    with file.open("rb") as content:
        digest = checksum.sha256(content).hex()
    good = blank = bad = 0
    named = []
    for where, text, fault in table.rows():
        if fault:
            bad += 1
            if bad <= MOST_NAMED:
                named.append(f"{where}: {fault}")
        else:
            good += 1
            blank += not text.strip()
    return Scan(digest, good, blank, bad, named)


@contextlib.contextmanager
def reading(file: Path) -> Iterator[None]:
    """Raises UserError, which names --input, when the context can't read a file as a whole."""
    with explained("--input", file):
        before = _state(file)
        try:
            yield
        except Refusal as refusal:
            raise UserError(f"--input: {refusal.where}: {refusal.fault}") from refusal
        finally:
            if _state(file) != before:
                raise UserError(f"--input: {file} changed while it was read; start again")


def _state(file: Path) -> tuple[int, int, int]:
    """Returns what a change of a file changes too."""
    status = file.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns
