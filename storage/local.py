"""A store in a local folder. See `storage.store` for the interface."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from storage.errors import UserError

_SCRATCH = ".scratch"


class LocalStore:
    """A folder; objects are its files, replaced by rename so that no reader sees half of one."""

    def __init__(self, root: Path):
        self._root = root.expanduser().absolute()
        self.url = str(root)
        with self._faults("."):
            usable = self._root.is_dir() or not self._root.exists()
        if not usable:
            raise UserError(f"workdir: {root} is a file; give a folder, new or of an earlier run")

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

    def write(self, name: str, data: bytes) -> None:
        with self._faults(name), self.scratch() as scratch:
            self.upload(_written(scratch / "object", data), name)

    def create(self, name: str, data: bytes) -> None:
        with self._faults(name), self.scratch() as scratch:
            path = self._path(name)
            _make_folder(path.parent)
            # A link appears whole and fails when the name is taken; a rename would replace it.
            os.link(_written(scratch / "object", data), path)
            _sync(path.parent)

    def append(self, name: str, data: bytes) -> None:
        with self._faults(name):
            path = self._path(name)
            _make_folder(path.parent)
            with path.open("ab") as file:
                file.write(data)

    def upload(self, path: Path, name: str) -> None:
        with self._faults(name):
            target = self._path(name)
            _make_folder(target.parent)
            _sync(path)
            path.replace(target)
            _sync(target.parent)

    def download(self, name: str, path: Path) -> None:
        with self._faults(name):
            shutil.copyfile(self._path(name), path)

    def delete(self, name: str) -> None:
        with self._faults(name):
            path = self._path(name)
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # the folder still holds something
                path.parent.rmdir()

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        with self._faults(_SCRATCH):
            _make_folder(self._root / _SCRATCH)
            folder, lock = _locked_folder(self._root / _SCRATCH)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)

    def sweep(self) -> None:
        with self._faults(_SCRATCH):
            for folder in (self._root / _SCRATCH).glob("*"):
                try:
                    lock = os.open(folder, os.O_RDONLY)
                except FileNotFoundError:  # its process is done with it
                    continue
                with contextlib.suppress(BlockingIOError):  # its process lives
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)

    def local_folder(self, name: str) -> Path:
        return self._path(name)

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
                f"workdir: {self.url}/{name}: {error.strerror or error}; "
                "free or grant what is missing and run the same command again"
            ) from error


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    _sync(path)
    return path


def _locked_folder(parent: Path) -> tuple[Path, int]:
    """A new folder and a lock on it, which the system takes back when the process dies."""
    while True:
        folder = Path(tempfile.mkdtemp(dir=parent))
        with contextlib.suppress(FileNotFoundError):  # swept before it was locked
            lock = os.open(folder, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)


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
