"""Temporary folders for files on their way into or out of a store.

with scratch.folder() as folder:
    (folder / "part").write_bytes(b"...")
scratch.sweep()         # removes the folders of killed processes, but of no running one
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from storage.errors import UserError


@contextlib.contextmanager
def folder(parent: Path | None = None) -> Iterator[Path]:
    """Makes an empty folder under `parent`, by default among the system's temporary files.

    It is deleted when the context ends.
    """
    path, lock = _locked(_temporary() if parent is None else parent)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def sweep(parent: Path | None = None) -> None:
    """Removes the folders under `parent` whose process has ended."""
    for path in (_temporary() if parent is None else parent).glob("*"):
        try:
            lock = os.open(path, os.O_RDONLY)
        except FileNotFoundError:  # its process has just deleted it
            continue
        with contextlib.suppress(BlockingIOError):  # its process is running
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _temporary() -> Path:
    parent = Path(tempfile.gettempdir(), f"longhaul-{os.getuid()}")
    parent.mkdir(mode=0o700, exist_ok=True)
    # Every user can write here: another one could have made the folder to read or change our files.
    if parent.stat().st_uid != os.getuid():
        raise UserError(f"{parent} belongs to another user; set TMPDIR to one of your folders")
    return parent


def _locked(parent: Path) -> tuple[Path, int]:
    """Returns a new folder and a lock on it, which the system releases when the process ends."""
    while True:
        path = Path(tempfile.mkdtemp(dir=parent))
        with contextlib.suppress(FileNotFoundError):  # swept before it was locked
            lock = os.open(path, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists():
                return path, lock
            os.close(lock)
