"""Temporary folders for files on their way into or out of a store.

with scratch.temporary() as folder:     # in TMPDIR
    (folder / "part").write_bytes(b"...")
scratch.sweep_temporary()       # removes the folders of killed processes, but of no running one
"""

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from absl import logging

from storage.errors import UserError
from storage.os_errors import FULL, explanation, place_of, require_folder

_NOT_READ = "[\\"  # TensorFlow takes the path of a checkpoint for a pattern when it reads one


@contextlib.contextmanager
def folder(parent: Path) -> Iterator[Path]:
    """Makes an empty folder under `parent`; it is deleted when the context ends."""
    path, lock = _locked(parent)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def sweep(parent: Path) -> None:
    """Removes the folders under `parent` whose process has ended."""
    for entry in os.scandir(parent):
        if not entry.is_dir(follow_symlinks=False):
            continue
        try:
            lock = os.open(entry.path, os.O_RDONLY)
        except FileNotFoundError:  # its process has just deleted it
            continue
        except PermissionError as error:
            logging.warning("%s, left by another user, is not removed: %s", entry.path, error)
            continue
        with contextlib.suppress(BlockingIOError):  # its process is running
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(entry.path, ignore_errors=True)
        os.close(lock)


@contextlib.contextmanager
def temporary() -> Iterator[Path]:
    """Makes an empty folder in TMPDIR.

    Raises UserError, which names TMPDIR, when that or the context's use of it fails.
    """
    with _explained(), folder(_temporary_parent()) as path:
        yield path


def sweep_temporary() -> None:
    """Removes the folders of `temporary` whose process has ended."""
    with _explained():
        sweep(_temporary_parent())


@contextlib.contextmanager
def room() -> Iterator[None]:
    """Raises UserError when the context can't write to a `temporary` folder that is full.

    For a context that also reads elsewhere: only a full disk is about what is written.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise _user_error(error) from error


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _user_error(error) from error


def _user_error(error: OSError) -> UserError:
    place = place_of(error, Path(tempfile.gettempdir()))
    return UserError(f"TMPDIR: {place}: {explanation(error, ' or set TMPDIR to another folder')}")


def _temporary_parent() -> Path:
    try:
        base = tempfile.gettempdir()
    except FileNotFoundError as error:
        raise UserError(
            f"TMPDIR: {error.strerror}; set TMPDIR to a folder that exists and has space"
        ) from error
    if set(base) & set(_NOT_READ) or not is_utf8(base):
        raise UserError(
            f"TMPDIR: got {base!r}, accepted is a path in UTF-8 without '[' and '\\', from which "
            "TensorFlow can read; set TMPDIR to another folder"
        )
    parent = Path(base, f"longhaul-{os.geteuid()}")
    with contextlib.suppress(FileExistsError):
        parent.mkdir(mode=0o700)
    require_folder(parent)
    # Every user can write here: another one could have made the folder to read or change our files,
    # or a link to a folder of ours, which a sweep would empty.
    if parent.is_symlink():
        raise NotADirectoryError(errno.ENOTDIR, "It is a link", str(parent))
    if parent.stat().st_uid != os.geteuid():
        raise UserError(f"{parent} belongs to another user; set TMPDIR to one of your folders")
    return parent


def is_utf8(path: str) -> bool:
    """Returns True for a path that TensorFlow and JSON can represent."""
    return not any("\ud800" <= character <= "\udfff" for character in path)


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
