"""A store in a local folder. See `storage.store` for the interface."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from storage import scratch
from storage.errors import UserError

_SCRATCH = ".scratch"


class LocalStore:
    """A Store of the files in a folder, replaced by rename so that no reader sees part of one."""

    def __init__(self, root: Path, field: str):
        self._root = root.expanduser().absolute()
        self._field = field
        self.url = str(root)
        with self._explained("."):
            usable = self._root.is_dir() or not self._root.exists()
        if not usable:
            raise UserError(f"{field}: {root} is a file; give a folder, new or of an earlier run")

    def list(self, prefix: str = "") -> list[str]:
        self._path(prefix)  # raises for a prefix that leads out of the store
        folder = self._root / prefix.rpartition("/")[0]
        # os.walk skips folders that another process deletes in the meantime.
        paths = (Path(place, file) for place, _, files in os.walk(folder) for file in files)
        names = (path.relative_to(self._root).as_posix() for path in paths)
        return sorted(n for n in names if n.startswith(prefix) and not n.startswith(_SCRATCH))

    def exists(self, name: str) -> bool:
        return self._path(name).is_file()

    def read(self, name: str) -> bytes:
        with self._explained(name):
            return self._path(name).read_bytes()

    def write(self, name: str, data: bytes, check: Callable[[], None] | None = None) -> None:
        with self._explained(name), self.scratch() as folder:
            path = _written(folder / "object", data)
            if check:
                check()
            self._move(path, name)

    def create(self, name: str, data: bytes) -> None:
        with self._explained(name), self.scratch() as folder:
            path = self._path(name)
            _make_folder(path.parent)
            try:
                # A link is atomic and fails when the name exists; a rename would replace the file.
                os.link(_written(folder / "object", data), path)
            except FileExistsError:
                if path.read_bytes() != data:
                    raise
            _sync(path.parent)

    def upload(self, path: Path, name: str, crc32c: int) -> None:
        self._move(path, name)  # a rename copies no byte, so none can change

    def download(self, name: str, path: Path) -> None:
        with self._explained(name):
            shutil.copyfile(self._path(name), path)

    def delete(self, name: str) -> None:
        with self._explained(name):
            path = self._path(name)
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # the folder is not empty
                path.parent.rmdir()

    def open_log(self, name: str, data: bytes, check: Callable[[], None]) -> "LocalLog":
        self.write(name, data, check)
        return LocalLog(self._path(name), lambda: self._explained(name))

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        with contextlib.ExitStack() as stack:
            with self._explained(_SCRATCH):
                _make_folder(self._root / _SCRATCH)
                folder = stack.enter_context(scratch.folder(self._root / _SCRATCH))
            yield folder

    def sweep(self) -> None:
        with self._explained(_SCRATCH):
            scratch.sweep(self._root / _SCRATCH)

    def _move(self, path: Path, name: str) -> None:
        with self._explained(name):
            target = self._path(name)
            _make_folder(target.parent)
            _sync(path)
            path.replace(target)
            _sync(target.parent)

    def _path(self, name: str) -> Path:
        if name.startswith("/") or ".." in name.split("/"):
            raise ValueError(f"name: got {name!r}, expected a relative name without '..'")
        return self._root / name

    @contextlib.contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, FileExistsError):
            raise
        except OSError as error:
            raise UserError(
                f"{self._field}: {self.url}/{name}: {error.strerror or error}; "
                "free space or grant access, and run the same command again"
            ) from error


class LocalLog:
    """A Log in an open file. Appends are lost once another process has replaced the file."""

    def __init__(self, path: Path, explained: Callable[[], contextlib.AbstractContextManager]):
        self._explained = explained
        with explained():
            self._file = path.open("ab", buffering=0)

    def append(self, data: bytes) -> None:
        with self._explained():
            self._file.write(data)

    def close(self, seconds: float | None = None) -> None:
        with self._explained():
            self._file.close()


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    _sync(path)
    return path


def _make_folder(path: Path) -> None:
    if path.is_dir():
        return
    try:
        path.mkdir(parents=True, exist_ok=True)
        _sync(path.parent)
    except (FileExistsError, FileNotFoundError) as error:
        # Callers take these two for errors about the object itself.
        raise NotADirectoryError(error.errno, f"{path} can't be made a folder") from error


def _sync(path: Path) -> None:
    """Flushes a file or folder to disk, so that it survives a power failure."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
