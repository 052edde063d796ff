"""A store in a local folder. See `storage.store` for the interface."""

import contextlib
import errno
import io
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from storage import scratch
from storage.errors import Corrupt, UserError
from storage.os_errors import UNREADABLE, explanation, place_of, require_folder

_SCRATCH = ".scratch"
_TURNS = 100  # at a folder that another process deletes each time


class LocalStore:
    """A Store of the files in a folder, replaced by rename so that no reader sees part of one."""

    def __init__(self, root: Path, field: str):
        self._field = field
        self.url = str(root)
        try:
            self._root = root.expanduser().absolute()
        except RuntimeError as error:  # no HOME, and no entry in the list of users
            raise UserError(
                f"{field}: got {self.url!r}, but '~' is not known here; give the whole path"
            ) from error
        if not scratch.is_utf8(str(self._root)):
            raise UserError(
                f"{field}: got {str(self._root)!r}, accepted are names in UTF-8; rename it"
            )
        with self._explained(""):
            require_folder(self._root)

    def list(self, prefix: str = "") -> list[str]:
        self._path(prefix)  # raises for a prefix that leads out of the store
        folder = self._root / prefix.rpartition("/")[0]
        with self._explained(prefix):
            names = [Path(path).relative_to(self._root).as_posix() for path in _files(folder)]
        return sorted(n for n in names if n.startswith(prefix) and not n.startswith(_SCRATCH))

    def exists(self, name: str) -> bool:
        with self._explained(name):
            return _is_there(self._path(name))

    def read(self, name: str) -> bytes:
        with self._explained(name, FileNotFoundError, reads=True):
            path = self._path(name)
            _require_no_pipe(path)
            return path.read_bytes()

    def write(self, name: str, data: bytes, check: Callable[[], None] | None = None) -> None:
        with self._explained(name), self._scratch() as folder:
            path = _written(folder / "object", data)
            if check:
                check()
            self._move(path, name)

    def create(self, name: str, data: bytes) -> None:
        with self._explained(name, FileExistsError), self._scratch() as folder:
            path, written = self._path(name), _written(folder / "object", data)
            try:
                # A link is atomic and fails when the name exists; a rename would replace the file.
                _place(os.link, written, path)
            except FileExistsError:
                with contextlib.suppress(FileNotFoundError):  # deleted by another process
                    if path.read_bytes() == data:
                        return
                raise

    def upload(self, path: Path, name: str, crc32c: int) -> None:
        self._move(path, name)  # a rename copies no byte, so none can change

    def download(self, name: str, path: Path) -> None:
        with self._explained(name, FileNotFoundError, reads=True), scratch.room():
            source = self._path(name)
            _require_no_pipe(source)
            shutil.copyfile(source, path)

    def delete(self, name: str) -> None:
        with self._explained(name):
            path = self._path(name)
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # the folder is not empty
                path.parent.rmdir()

    def open_log(self, name: str, data: bytes, check: Callable[[], None]) -> "LocalLog":
        with self._explained(name), self._scratch() as folder, contextlib.ExitStack() as stack:
            path = _written(folder / "object", data)
            # Before the rename, after which another process may put its own file there.
            file = stack.enter_context(path.open("ab", buffering=0))
            check()
            self._move(path, name)
            stack.pop_all()
        return LocalLog(file, lambda: self._explained(name))

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        with self._explained(_SCRATCH), self._scratch() as folder:
            yield folder

    def sweep(self) -> None:
        with self._explained(_SCRATCH):
            folder = self._root / _SCRATCH
            require_folder(folder)
            if folder.exists():
                scratch.sweep(folder)

    def _scratch(self) -> contextlib.AbstractContextManager[Path]:
        _make_folder(self._root / _SCRATCH)
        return scratch.folder(self._root / _SCRATCH)

    def _move(self, path: Path, name: str) -> None:
        with self._explained(name):
            target = self._path(name)
            _sync(path)
            _place(os.replace, path, target)

    def _path(self, name: str) -> Path:
        if name.startswith("/") or ".." in name.split("/"):
            raise ValueError(f"name: got {name!r}, expected a relative name without '..'")
        return self._root / name

    @contextlib.contextmanager
    def _explained(self, name: str, *handled: type[OSError], reads: bool = False) -> Iterator[None]:
        """Raises UserError for an OSError, except one of `handled`, which callers expect.

        Raises Corrupt when the context `reads` a file and others may be readable.
        """
        try:
            yield
        except OSError as error:
            if isinstance(error, handled):
                raise
            place = place_of(error, self._root / name)
            raise (Corrupt if reads and error.errno in UNREADABLE else UserError)(
                f"{self._field}: {place}: {explanation(error)}"
            ) from error


class LocalLog:
    """A Log in an open file. Appends are lost once another process has replaced the file."""

    def __init__(self, file: io.FileIO, explained: Callable[[], contextlib.AbstractContextManager]):
        self._file, self._explained = file, explained
        self._size = file.tell()  # bytes of whole appends
        self._is_torn = False  # whether a part of an append may follow them

    def append(self, data: bytes) -> None:
        with self._explained():
            if self._is_torn:
                self._cut()
            try:
                self._write(data)
            except OSError:
                self._is_torn = True
                self._cut()
                raise
            self._size += len(data)

    def close(self, seconds: float | None = None) -> None:
        with self._explained():
            self._file.close()

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:  # the system may write a part only, such as what the disk has room for
            rest = rest[self._file.write(rest) :]

    def _cut(self) -> None:
        self._file.truncate(self._size)
        self._is_torn = False


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    _sync(path)
    return path


def _place(move: Callable[[Path, Path], object], source: Path, target: Path) -> None:
    """Links or renames a file to a place whose folder is made if needed, and flushes the folder."""
    for turns_left in reversed(range(_TURNS)):
        try:
            _make_folder(target.parent)
            move(source, target)
            break
        except FileNotFoundError:
            # Otherwise another process has just deleted the folder, with the last file in it.
            if not turns_left or not source.exists():
                raise
    with contextlib.suppress(FileNotFoundError):  # as above
        _sync(target.parent)


def _make_folder(path: Path) -> None:
    """Makes a folder; FileNotFoundError when another process deletes it at the same moment."""
    if path.is_dir():
        return
    try:
        require_folder(path)
        path.mkdir(parents=True, exist_ok=True)
        _sync(path.parent)
    except (FileExistsError, NotADirectoryError) as error:
        if os.path.lexists(error.filename):
            raise
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from error


def _is_there(path: Path) -> bool:
    """Returns True for a file. Raises OSError when that can't be said, also for a dangling link."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        if path.is_symlink():
            raise
        return False


def _require_no_pipe(path: Path) -> None:
    """Raises OSError for what would wait for a writer instead of giving bytes."""
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "It is no file", str(path))


def _files(folder: Path) -> Iterator[str]:
    """Yields the paths of all files below a folder. Raises OSError for a part it can't look into.

    Folders that another process deletes meanwhile are skipped. `os.walk` skips unreadable ones too.
    """
    folders = [str(folder)]
    while folders:
        path = folders.pop()
        try:
            entries = list(os.scandir(path))
        except FileNotFoundError:
            if Path(path).is_symlink():  # to a disk that is not mounted, for example
                raise
            continue
        for entry in entries:
            if _is_folder(entry):
                folders.append(entry.path)
            else:
                yield entry.path


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """Returns True for a folder and for a link to one; False for a link that leads nowhere."""
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return False


def _sync(path: Path) -> None:
    """Flushes a file or folder to disk, so that it survives a power failure."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
