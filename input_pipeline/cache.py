"""Arrays that take long to make, kept on disk from run to run.

    (tokens,) = cached("~/.cache/longhaul", "train", key=[...], fields=["tokens"], make=tokenise)

A file's name holds a digest of all that decides its content, so it never goes stale.
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
    """The arrays that `make` returns, from `folder` when they are there; '' keeps nothing.

    `fields` names them in the file. `key` is whatever decides the content, as JSON can hold it.
    Raises UserError when the folder can't be written.
    """
    if not folder:
        return make()
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    path = Path(folder).expanduser() / f"{name}-{digest}.npz"
    arrays = _read(path, fields)
    if arrays is None:
        arrays = make()
        _write(path, dict(zip(fields, arrays, strict=True)))
    return arrays


def _read(path: Path, fields: Sequence[str]) -> list[np.ndarray] | None:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return [arrays[field] for field in fields]
    except (FileNotFoundError, NotADirectoryError):
        return None
    # RuntimeError is what zipfile raises for methods that it doesn't know.
    except (zipfile.BadZipFile, OSError, EOFError, KeyError, ValueError, RuntimeError) as error:
        logging.warning("%s: damaged (%s), making it again", path, error)
        return None


def _write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    try:
        with written_whole(path) as file:
            np.savez(file, **arrays)
    except OSError as error:
        raise UserError(
            f"config.data.cache_dir: {path.parent}: {error.strerror}; free or grant what is "
            "missing, give another folder, or '' to keep no cache"
        ) from error


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file that appears at its place whole or not at all, whatever else writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
