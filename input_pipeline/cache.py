"""A cache on disk for arrays that take long to make.

    (tokens,) = cached("~/.cache/longhaul", "train", key=[...], fields=["tokens"], make=tokenise)

A file's name holds a digest of everything that determines its content, so a file never goes stale.
"""

import contextlib
import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from absl import logging

from storage.errors import UserError


def cached(
    folder: str,
    name: str,
    key: Any,
    fields: Sequence[str],
    make: Callable[[], Sequence[np.ndarray]],
) -> Sequence[np.ndarray]:
    """Returns the arrays of an earlier call from `folder`, or those of `make`, which it caches.

    Args:
        folder: '' caches nothing.
        name: how the file's name begins.
        key: everything that determines the content, as values that JSON can represent.
        fields: the names of the arrays in the file.
        make: makes the arrays.

    Raises UserError when the folder can't be written.
    """
    if not folder:
        return make()
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    path = Path(folder).expanduser() / f"{name}-{digest}.npz"
    if (found := _read(path, fields)) is not None:
        return found
    arrays = make()
    _write(path, dict(zip(fields, arrays, strict=True)))
    return arrays


def _read(path: Path, fields: Sequence[str]) -> list[np.ndarray] | None:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return [arrays[field] for field in fields]
    except (FileNotFoundError, NotADirectoryError):
        return None
    # zipfile raises RuntimeError for a compression method that it doesn't know.
    except (zipfile.BadZipFile, OSError, EOFError, KeyError, ValueError, RuntimeError) as error:
        logging.warning("%s: damaged (%s), making it again", path, error)
        return None


def _write(path: Path, arrays: dict[str, Any]) -> None:
    try:
        with written_whole(path) as file:
            np.savez(file, **arrays)
    except OSError as error:
        raise UserError(
            f"config.data.cache_dir: {path.parent}: {error.strerror}; free space or "
            "grant access, give another folder, or '' to keep no cache"
        ) from error


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """Opens a file that appears at `path` when the context ends, or never if it ends in an error.

    Other processes may write the same path at the same time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
