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
    """A folder; objects are its files, replaced by rename so that no reader sees half of one."""

    def __init__(self, root: Path, field: str):
        self._root = root.expanduser().absolute()
        self._field = field
        self.url = str(root)
        with self._faults("."):
            usable = self._root.is_dir() or not self._root.exists()
        if not usable:
            raise UserError(f"{field}: {root} is a file; give a folder, new or of an earlier run")

    def list(self, prefix: str = "") -> list[str]:
        self._path(prefix)  # refuses one that leads out of the store
        folder = self._root / prefix.rpartition("/")[0]
        # os.walk passes over folders that another process deletes meanwhile.
        paths = (Path(place, file) for place, _, files in os.walk(folder) for file in files)
        names = (path.relative_to(self._root).as_posix() for path in paths)
        return sorted(n for n in names if n.startswith(prefix) and not n.startswith(_SCRATCH))

    def exists(self, name: str) -> bool:
        return self._path(name).is_file()

    def read(self, name: str) -> bytes:
        with self._faults(name):
            return self._path(name).read_bytes()

    def write(self, name: str, data: bytes, check: Callable[[], None] | None = None) -> None:
        with self._faults(name), self.scratch() as folder:
            path = _written(folder / "object", data)
            if check:
                check()
            self._move(path, name)

    def create(self, name: str, data: bytes) -> None:
        with self._faults(name), self.scratch() as folder:
            path = self._path(name)
            _make_folder(path.parent)
            try:
                # A link appears whole and fails when the name is taken; a rename would replace it.
                os.link(_written(folder / "object", data), path)
            except FileExistsError:
                if path.read_bytes() != data:
                    raise
            _sync(path.parent)

    def upload(self, path: Path, name: str, crc32c: int) -> None:
        self._move(path, name)  # as a whole: no byte is written anew that could change

    def download(self, name: str, path: Path) -> None:
        with self._faults(name):
            shutil.copyfile(self._path(name), path)

    def delete(self, name: str) -> None:
        with self._faults(name):
            path = self._path(name)
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # the folder still holds something
                path.parent.rmdir()

    def open_log(self, name: str, data: bytes, check: Callable[[], None]) -> "LocalLog":
        self.write(name, data, check)
        return LocalLog(self._path(name), lambda: self._faults(name))

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        with contextlib.ExitStack() as stack:
            with self._faults(_SCRATCH):
                _make_folder(self._root / _SCRATCH)
                folder = stack.enter_context(scratch.folder(self._root / _SCRATCH))
            yield folder

    def sweep(self) -> None:
        with self._faults(_SCRATCH):
            scratch.sweep(self._root / _SCRATCH)

    def _move(self, path: Path, name: str) -> None:
        with self._faults(name):
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
    def _faults(self, name: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, FileExistsError):
            raise
        except OSError as error:
            raise UserError(
                f"{self._field}: {self.url}/{name}: {error.strerror or error}; "
                "free or grant what is missing and run the same command again"
            ) from error


class LocalLog:
    """A file kept open: once another process has put a new one in its place, appending is idle."""

    def __init__(self, path: Path, faults: Callable[[], contextlib.AbstractContextManager]):
        self._faults = faults
        with faults():
            self._file = path.open("ab", buffering=0)

    def append(self, data: bytes) -> None:
        with self._faults():
            self._file.write(data)

    def close(self, seconds: float | None = None) -> None:
        with self._faults():
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
        # To a caller, either would say something about the object instead.
        raise NotADirectoryError(error.errno, f"{path} can't be made a folder") from error


def _sync(path: Path) -> None:
    """Makes a file or folder outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
