"""Where a run lives: one interface over a local folder and, later, cloud buckets.

    store = open_store("runs/imdb")
    store.write("config.json", b"{}")
    store.read("config.json")

Names are relative, with `/` between their parts. A reader sees an object whole or not at all.
"""

import contextlib
from pathlib import Path
from typing import Protocol

from storage.errors import UserError


class Store(Protocol):
    """A flat name space of byte objects. Every method raises UserError when the medium fails."""

    url: str

    def list(self, prefix: str = "") -> list[str]:
        """Names that start with `prefix`, sorted; empty when there is none."""

    def exists(self, name: str) -> bool:
        """True when the object is there."""

    def read(self, name: str) -> bytes:
        """The bytes of one object; FileNotFoundError when there is none."""

    def write(self, name: str, data: bytes) -> None:
        """Replaces the object in one step."""

    def create(self, name: str, data: bytes) -> None:
        """Like `write`, but raises FileExistsError, and changes nothing, when it is there."""

    def append(self, name: str, data: bytes) -> None:
        """Adds to the end of the object, creating it when there is none."""

    def upload(self, path: Path, name: str) -> None:
        """Moves a file from `scratch()` into the store."""

    def download(self, name: str, path: Path) -> None:
        """Copies an object to a local file; FileNotFoundError when there is none."""

    def delete(self, name: str) -> None:
        """Removes the object; nothing happens when there is none."""

    def sweep(self) -> None:
        """Removes what killed processes left in `scratch()`, and nothing of those that live."""

    def scratch(self) -> contextlib.AbstractContextManager[Path]:
        """A local folder for files on their way into the store, gone when the context ends."""

    def local_folder(self, name: str) -> Path:
        """A local folder whose files are objects under `name/`, for libraries that write files."""


def open_store(url: str) -> Store:
    """The store behind a folder name or URL; UserError when its kind is unknown."""
    if "://" in url:
        scheme = url.split("://", 1)[0]
        raise UserError(
            f"workdir: got {url!r}, but no store is known for {scheme}://; give a local folder"
        )
    from storage.local import LocalStore

    return LocalStore(Path(url))
