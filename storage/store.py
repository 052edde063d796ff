"""Stores for the files of a run: one interface over a local folder and a Cloud Storage bucket.

    store = open_store("gs://bucket/runs/imdb")
    store.write("config.json", b"{}")
    store.read("config.json")

Object names are relative, with `/` between their parts. A reader sees a whole object or none, never
a part of one.
"""

import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from storage.errors import UserError

# Raises Superseded when the caller must not write any more.
Check = Callable[[], None]

RETRY_SECONDS = 120.0  # how long failed requests to a bucket are retried


class Log(Protocol):
    """An append-only object owned by its most recent opener.

    Appends by earlier openers are dropped.
    """

    def append(self, data: bytes) -> None:
        """Appends bytes. A bucket stores them a moment later, in the background."""

    def close(self, seconds: float | None = None) -> None:
        """Waits up to `seconds` until everything is stored; UserError when storing fails."""


class Store(Protocol):
    """A flat name space of byte objects. Every method raises UserError when the medium fails."""

    url: str

    def list(self, prefix: str = "") -> list[str]:
        """Returns the sorted names that start with `prefix`."""

    def exists(self, name: str) -> bool:
        """Returns True when the object exists."""

    def read(self, name: str) -> bytes:
        """Returns the bytes of an object; FileNotFoundError when it doesn't exist."""

    def write(self, name: str, data: bytes, check: Check | None = None) -> None:
        """Creates or replaces the object atomically, unless `check`, which is called first, raises.

        In a bucket, an object that another process writes after `check` is not overwritten without
        a new `check`. In a folder, one that is written between `check` and the rename is.
        """

    def create(self, name: str, data: bytes) -> None:
        """Creates the object; FileExistsError when it exists with other bytes.

        When it exists with the same bytes, the call succeeds: a retry after a lost answer meets the
        object that it created itself. So processes that compete for a name must use different
        bytes.
        """

    def upload(self, path: Path, name: str, crc32c: int) -> None:
        """Moves a file from `scratch()` into the store; Corrupt when its CRC-32C differs."""

    def download(self, name: str, path: Path) -> None:
        """Copies an object to a local file; FileNotFoundError when it doesn't exist."""

    def delete(self, name: str) -> None:
        """Removes the object; a no-op when it doesn't exist."""

    def open_log(self, name: str, data: bytes, check: Check) -> Log:
        """Replaces the object by `data`, like `write`, and opens it for appending."""

    def scratch(self) -> contextlib.AbstractContextManager[Path]:
        """Makes a local folder for files to upload; it is deleted when the context ends."""

    def sweep(self) -> None:
        """Removes the `scratch()` folders of killed processes, but of no running one."""


def open_store(url: str, field: str = "--workdir", retry_seconds: float = RETRY_SECONDS) -> Store:
    """Opens the store at a folder's path or a URL; failed requests are retried for `retry_seconds`.

    Raises UserError, which names `field`, when the URL's scheme is unknown or a bucket can't be
    read.
    """
    # Imported on demand: the Cloud Storage client takes a second to import.
    if url.startswith("gs://"):
        from storage.gcs import GcsStore

        return GcsStore(url, field, retry_seconds)
    if scheme := re.match(r"\w+:/", url):  # also with one slash, which is a typing error
        raise UserError(
            f"{field}: got {url!r}, but no store is known for {scheme[0]}; "
            "give a local folder or gs://BUCKET/NAME"
        )
    from storage.local import LocalStore

    return LocalStore(Path(url), field)


def probe(store: Store) -> None:
    """Raises UserError unless objects can be created, replaced and deleted."""
    # The name is fixed, so that a later probe deletes the object that a killed process left.
    store.write(".probe", b"1")
    store.write(".probe", b"2")
    store.delete(".probe")
