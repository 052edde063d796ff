"""A cache on disk for arrays that take long to make.

    (ids,) = cached("~/.cache/longhaul", "train", key=lambda: [...], fields=["ids"], make=tokenise)

A file's name holds a digest of everything that determines its content, so a file never goes stale.
The file begins with a digest of its content, so damage is found before anything is parsed. What
can't be read or written costs a warning and the work, never the run.
"""

import contextlib
import errno
import functools
import hashlib
import io
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from storage import checksum

_DIGEST_SIZE = hashlib.sha256().digest_size


def cached(
    folder: str,
    name: str,
    key: Callable[[], Any],
    fields: Sequence[str],
    make: Callable[[], Sequence[np.ndarray]],
) -> Sequence[np.ndarray]:
    """Returns the arrays of an earlier call from `folder`, or those of `make`, which it caches.

    Args:
        folder: '' caches nothing.
        name: how the file's name begins.
        key: returns everything that determines the content, as values that JSON can represent. It
            is asked again after `make`; if it has changed in between, nothing is cached.
        fields: the names of the arrays in the file.
        make: makes the arrays.
    """
    if not folder or (place := expanded(Path(folder))) is None:
        return make()
    digest = _digest(key(), fields)
    path = place / f"{name}-{digest.hex()}.npz"
    try:
        found = _read(path, digest, fields)
    except OSError as error:
        warn_once(path.parent, error)
        return make()
    if found is not None:
        return found
    arrays = make()
    if _digest(key(), fields) != digest:
        logging.warning("config.data.source: changed while it was read; it is not cached")
        return arrays
    try:
        _write(path, digest, dict(zip(fields, arrays, strict=True)))
    except OSError as error:
        warn_once(path.parent, error)
    return arrays


def _digest(key: Any, fields: Sequence[str]) -> bytes:
    return hashlib.sha256(json.dumps([key, *fields]).encode()).digest()


def _read(path: Path, key: bytes, fields: Sequence[str]) -> list[np.ndarray] | None:
    """Returns the arrays in a file; None, perhaps after a warning, when it is to be made.

    Raises OSError when the file can't be read or isn't to be trusted.
    """
    try:
        with open_trusted(path) as file:
            stored = file.read(_DIGEST_SIZE)
            if stored != _content_digest(file, key):
                logging.warning("%s: damaged, making it again", path)
                return None
            file.seek(_DIGEST_SIZE)
            with np.load(file, allow_pickle=False) as arrays:
                return [arrays[field] for field in fields]
    except (FileNotFoundError, NotADirectoryError):
        return None


def _write(path: Path, key: bytes, arrays: dict[str, Any]) -> None:
    with written_whole(path) as file:
        file.write(bytes(_DIGEST_SIZE))  # its place
        np.savez(file, **arrays)
        file.seek(_DIGEST_SIZE)
        digest = _content_digest(file, key)
        file.seek(0)
        file.write(digest)


def _content_digest(file: io.BufferedReader | io.BufferedRandom, key: bytes) -> bytes:
    """Returns the digest of a file from its position on, and of the key that it belongs to."""
    return checksum.sha256(file, key)


def expanded(folder: Path) -> Path | None:
    """Replaces the '~' of a cache folder; None, after a warning, when there is no home folder."""
    try:
        return folder.expanduser()
    except RuntimeError:
        warn_once(folder, OSError(errno.ENOENT, "there is no home folder ($HOME is not set)"))
        return None


def warn_once(folder: Path, error: OSError) -> None:
    """Logs why a cache folder is of no use, each reason once in a process."""
    _warn(folder, error.strerror or str(error))


@functools.cache
def _warn(folder: Path, reason: str) -> None:
    logging.warning(
        "config.data.cache_dir: %s: %s; continuing without the cache (give a folder of your own, "
        "or '' for none)",
        folder,
        reason,
    )


@contextlib.contextmanager
def open_trusted(path: Path) -> Iterator[io.BufferedReader]:
    """Opens a regular file that belongs to this user or to root.

    In a folder that users share a file of another may hold anything. Raises OSError.
    """
    # A FIFO would wait for its writer.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_uid not in (os.geteuid(), 0):
            raise PermissionError(
                errno.EPERM, f"holds what is not a file of user {os.geteuid()} or of root"
            )
        yield file


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[io.BufferedRandom]:
    """Opens a file that appears at `path` when the context ends, or never if it ends in an error.

    Other processes may write the same path at the same time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
