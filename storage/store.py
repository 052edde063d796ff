"""Where a run lives: one interface over a local folder and a Cloud Storage bucket.

    store = open_store("gs://bucket/runs/imdb")
    store.write("config.json", b"{}")
    store.read("config.json")

Names are relative, with `/` between their parts. A reader sees an object whole or not at all.
"""

import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from storage.errors import UserError

# Raises Superseded when the caller must not write any more.
Check = Callable[[], None]

RETRY_SECONDS = 120.0  # how long a bucket is asked again that doesn't answer, or not well


class Log(Protocol):
    """An object that grows at its end, of whoever opened it last.

    What others append, who opened it before, goes nowhere.
    """

    def append(self, data: bytes) -> None:
        """Adds to the end; a bucket gets it a moment later, from behind."""

    def close(self, seconds: float | None = None) -> None:
        """Waits, at most so long, until all is stored; UserError when that fails."""


class Store(Protocol):
    """A flat name space of byte objects. Every method raises UserError when the medium fails."""

    url: str

    def list(self, prefix: str = "") -> list[str]:
        """Names that start with `prefix`, sorted; empty when there is none."""

    def exists(self, name: str) -> bool:
        """True when the object is there."""

    def read(self, name: str) -> bytes:
        """The bytes of one object; FileNotFoundError when there is none."""

    def write(self, name: str, data: bytes, check: Check | None = None) -> None:
        """Replaces the object in one step; not if `check`, asked before, raises.

        In a bucket that holds to the moment of writing: what a process has written that came in
        between is not overwritten. A folder leaves open the time of a rename.
        """

    def create(self, name: str, data: bytes) -> None:
        """Makes the object; FileExistsError, and no change, when it is there with other bytes.

        With these very bytes it may be this call's own work, its answer lost: that is success. So
        those who race for a name must each bring bytes of their own.
        """

    def upload(self, path: Path, name: str, crc32c: int) -> None:
        """Moves a file from `scratch()` into the store; Corrupt when it arrives as another."""

    def download(self, name: str, path: Path) -> None:
        """Copies an object to a local file; FileNotFoundError when there is none."""

    def delete(self, name: str) -> None:
        """Removes the object; nothing happens when there is none."""

    def open_log(self, name: str, data: bytes, check: Check) -> Log:
        """Replaces the object by `data`, like `write`, and takes it over, to append to it."""

    def scratch(self) -> contextlib.AbstractContextManager[Path]:
        """A local folder for files on their way into the store, gone when the context ends."""

    def sweep(self) -> None:
        """Removes what killed processes left in `scratch()`, and nothing of those that live."""


def open_store(url: str, field: str = "--workdir", retry_seconds: float = RETRY_SECONDS) -> Store:
    """The store behind a folder name or URL.

    Raises UserError, which names `field`, when its kind is unknown or a bucket can't be read.
    """
    # Imported when asked for: the cloud's client takes a second.
    if url.startswith("gs://"):
        from storage.gcs import GcsStore

        return GcsStore(url, field, retry_seconds)
    if scheme := re.match(r"\w+:/", url):  # with one slash, too: nobody means such a folder
        raise UserError(
            f"{field}: got {url!r}, but no store is known for {scheme[0]}; "
            "give a local folder or gs://BUCKET/NAME"
        )
    from storage.local import LocalStore

    return LocalStore(Path(url), field)


def probe(store: Store) -> None:
    """Raises UserError unless objects can be made, replaced and deleted."""
    # Always the same: what a killed process leaves of it the next one deletes.
    store.write(".probe", b"1")
    store.write(".probe", b"2")
    store.delete(".probe")
