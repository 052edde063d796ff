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

# Of the file beside a folder that its process keeps locked. Over NFS locks of files hold on all
# machines, those of folders do not.
_LOCK = ".lock"
_NOT_READ = "[\\"  # TensorFlow takes the path of a checkpoint for a pattern when it reads one


@contextlib.contextmanager
def folder(parent: Path) -> Iterator[Path]:
    """Makes an empty folder under `parent`; it is deleted when the context ends."""
    lock, descriptor = _locked(parent)
    try:
        path = lock.with_suffix("")
        path.mkdir(mode=0o700)
        yield path
    finally:
        _remove(lock)
        os.close(descriptor)


def sweep(parent: Path) -> None:
    """Removes the folders under `parent` whose process has ended."""
    for path in parent.iterdir():
        is_folder = path.is_dir() and not path.is_symlink() and not path.suffix
        if path.suffix == _LOCK:
            mode = os.O_RDWR  # NFS locks only what may be written
        elif is_folder and not path.with_suffix(_LOCK).exists():
            mode = os.O_RDONLY  # an earlier version locked the folder itself
        else:
            continue
        try:
            descriptor = os.open(path, mode)
        except FileNotFoundError:  # its process has just deleted it
            continue
        except PermissionError as error:
            logging.warning("%s, left by another user, is not removed: %s", path, error)
            continue
        with contextlib.suppress(BlockingIOError):  # its process is running
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(path.with_suffix(_LOCK))
        os.close(descriptor)


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
    """Returns a new file and a lock on it, which the system releases when the process ends."""
    while True:
        descriptor, name = tempfile.mkstemp(_LOCK, dir=parent)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.path.lexists(name):
            return Path(name), descriptor
        os.close(descriptor)  # swept before it was locked


def _remove(lock: Path) -> None:
    """Removes a folder, and then its lock: a folder without one counts as that of no process."""
    shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
    lock.unlink(missing_ok=True)
