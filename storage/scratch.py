"""Folders for files on their way into or out of a store, gone with the process that uses them.

with scratch.folder() as folder:
    (folder / "part").write_bytes(b"...")
scratch.sweep()         # removes what killed processes left, and nothing of those that live
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
    """A new empty folder under `parent`, by default where the system keeps temporary files."""
    path, lock = _locked(_temporary() if parent is None else parent)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def sweep(parent: Path | None = None) -> None:
    """Removes the folders under `parent` whose process is dead."""
    for path in (_temporary() if parent is None else parent).glob("*"):
        try:
            lock = os.open(path, os.O_RDONLY)
        except FileNotFoundError:  # its process is done with it
            continue
        with contextlib.suppress(BlockingIOError):  # its process lives
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _temporary() -> Path:
    parent = Path(tempfile.gettempdir(), f"longhaul-{os.getuid()}")
    parent.mkdir(mode=0o700, exist_ok=True)
    # Where all may write, somebody else could have made it, to read or change what we put there.
    if parent.stat().st_uid != os.getuid():
        raise UserError(f"{parent} is another user's; set TMPDIR to a folder of your own")
    return parent


def _locked(parent: Path) -> tuple[Path, int]:
    """A new folder and a lock on it, which the system takes back when the process dies."""
    while True:
        path = Path(tempfile.mkdtemp(dir=parent))
        with contextlib.suppress(FileNotFoundError):  # swept before it was locked
            lock = os.open(path, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists():
                return path, lock
            os.close(lock)
