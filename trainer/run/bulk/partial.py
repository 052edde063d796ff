"""The unfinished work of a prediction in bulk: the folder OUTPUT.partial beside the output.

    with Partial(Path("predicted.csv")) as partial:      # no other process may have it
        partial.begin({"input": "...", "checkpoint": "step 82"})
        partial.rows                                     # predicted by earlier processes

The folder holds `command.json`, which says what the work is of, and `predictions`, a log with the
number of each row's label and its probability. The log is in blocks with a checksum each. A killed
process may leave a part of a block at its end, which the next one drops. The output is written from
the whole log at the end, so that each row is in it exactly once. Its checksum goes to
`command.json` before it gets its name: so a process that is killed just after that has finished.
"""

import contextlib
import fcntl
import json
import os
import shutil
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from storage import checksum, json_object
from storage.errors import UserError
from storage.local import LocalLog, LocalStore
from storage.os_errors import explanation, place_of

_COMMAND, _LOG = "command.json", "predictions"
_CHECKSUM = "CRC-32C of the output"  # a field of the command, once the output is written
_ANOTHER = "give another --output"
_HEAD = struct.Struct("<II")  # of a block: its number of rows and the CRC-32C of its rows
_ROW = np.dtype([("label", "<u2"), ("probability", "<f4")])


@contextlib.contextmanager
def explained(flag: str, path: Path) -> Iterator[None]:
    """Raises UserError, which names `flag`, for an OSError, by default about `path`."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{flag}: {place_of(error, path)}: {explanation(error)}") from error


class Partial:
    """The unfinished work for one output, held by one process while the context is open."""

    def __init__(self, output: Path):
        self._output = output
        self.folder = output.with_name(f"{output.name}.partial")
        self.rows = 0  # predicted so far
        self._is_complete = False
        self._exit = contextlib.ExitStack()

    def __enter__(self) -> "Partial":
        with explained("--output", self.folder):
            self.folder.mkdir(exist_ok=True)
            self._lock()
            if os.path.lexists(self._output) and not any(self.folder.iterdir()):
                self._exit.close()
                raise UserError(f"--output: {self._output} exists; {_ANOTHER}")
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def begin(self, command: Mapping[str, str]) -> bool:
        """Resumes the work of the same command, or begins it; False when the output is complete.

        `command` is what decides the output, by names that a message can show. Raises UserError
        when the work is that of another command.
        """
        self._store = LocalStore(self.folder, "--output")
        self._store.sweep()
        if not self._store.list():
            self._write_command(command)
        self._require_same(command)
        if os.path.lexists(self._output):
            self._require_own_output()
            self._is_complete = True
            return False
        with explained("--output", self._log_path):
            self.rows = self._drop_torn_block()
            file = self._log_path.open("ab", buffering=0)
        self._log = LocalLog(file, lambda: explained("--output", self._log_path))
        self._exit.callback(self._log.close)
        return True

    def append(self, numbers: np.ndarray, probabilities: np.ndarray) -> None:
        """Adds the next rows: their labels' numbers <int>[n] and probabilities <float32>[n]."""
        rows = np.empty(len(numbers), _ROW)
        rows["label"], rows["probability"] = numbers, probabilities
        data = rows.tobytes()
        self._log.append(_HEAD.pack(len(rows), checksum.of(data)) + data)
        self.rows += len(rows)

    def predictions(self) -> Iterator[tuple[int, float]]:
        """Yields the number of the label and the probability of each row."""
        with self._log_path.open("rb") as log:
            for rows in _blocks(log):
                yield from rows.tolist()

    def write(self, write: Callable[[Path], None]) -> None:
        """Writes what `finish` makes the output; `write` writes it to a path."""
        self._written = self._exit.enter_context(self._store.scratch()) / "rows"
        with explained("--output", self._written):
            write(self._written)

    def finish(self) -> None:
        """Gives the output its name, unless it is complete, and removes the folder."""
        if not self._is_complete:
            self._name_output()
        self._empty()

    def _name_output(self) -> None:
        with explained("--output", self._written):
            content = checksum.of_file(self._written)
        self._write_command({**self._read_command(), _CHECKSUM: content})
        if os.path.lexists(self._output):
            raise UserError(f"--output: {self._output} has appeared meanwhile; move it away")
        folder = LocalStore(self._output.parent, "--output")
        folder.upload(self._written, self._output.name, content)

    def _empty(self) -> None:
        """Empties the folder, which goes when the context ends.

        Its command is removed last: before that, a later process knows that the output is complete.
        """
        with explained("--output", self.folder):
            paths = sorted(self.folder.iterdir(), key=lambda path: path.name == _COMMAND)
            for path in paths:
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()

    @property
    def _log_path(self) -> Path:
        return self.folder / _LOG

    def _lock(self) -> None:
        """Keeps other processes out until the context ends, or this process does."""
        lock = os.open(self.folder, os.O_RDONLY)
        self._exit.callback(os.close, lock)
        self._exit.callback(self._leave)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_held = os.path.samestat(os.fstat(lock), self.folder.stat())
        except (BlockingIOError, FileNotFoundError):  # another one has just finished and removed it
            is_held = False
        if not is_held:
            os.close(lock)
            self._exit.pop_all()
            raise UserError(
                f"--output: another process writes {self._output}; wait for it, or {_ANOTHER}"
            )

    def _leave(self) -> None:
        with contextlib.suppress(OSError):  # it holds work
            self.folder.rmdir()

    def _write_command(self, command: Mapping[str, Any]) -> None:
        self._store.write(_COMMAND, json.dumps(command, indent=1).encode())

    def _read_command(self) -> dict[str, Any]:
        try:
            return json_object.parse(self._store.read(_COMMAND))
        except (ValueError, FileNotFoundError) as error:
            raise UserError(
                f"--output: {self.folder} holds no unfinished work of a prediction; move it away, "
                f"or {_ANOTHER}"
            ) from error

    def _require_same(self, command: Mapping[str, str]) -> None:
        found = self._read_command()
        for name, value in command.items():
            if found.get(name) != value:
                raise UserError(
                    f"--output: {self.folder} holds unfinished work with another {name}: "
                    f"{found.get(name)}, this command has {value}; give the command that began "
                    "the work, or delete that folder to begin again"
                )

    def _require_own_output(self) -> None:
        """Raises UserError unless an earlier process has completed the output."""
        expected = self._read_command().get(_CHECKSUM)
        with explained("--output", self._output):
            is_own = self._output.is_file() and checksum.of_file(self._output) == expected
        if not is_own:
            raise UserError(
                f"--output: {self._output} exists, and {self.folder} holds unfinished work for it; "
                "move the file away to go on"
            )

    def _drop_torn_block(self) -> int:
        """Cuts the log behind its last whole block; returns the rows in the blocks."""
        rows = end = 0
        with self._log_path.open("a+b") as log:
            log.seek(0)
            for block in _blocks(log):
                rows, end = rows + len(block), log.tell()
            log.truncate(end)
        return rows


def _blocks(log: BinaryIO) -> Iterator[np.ndarray]:
    """Yields the rows of each whole block, up to one that is cut or damaged."""
    while len(head := log.read(_HEAD.size)) == _HEAD.size:
        count, content = _HEAD.unpack(head)
        data = log.read(count * _ROW.itemsize)
        if not count or len(data) < count * _ROW.itemsize or checksum.of(data) != content:
            return
        yield np.frombuffer(data, _ROW)
