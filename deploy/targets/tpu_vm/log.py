"""The log of a TPU VM's job, which its machines copy to the workdir about once a minute.

reader = TpuLog(open_store(workdir), "imdb")
lines = list(reader.read())     # those that were added since the last call
"""

import contextlib
import re
from collections.abc import Iterator

from storage.store import Store


class TpuLog:
    """The lines of all machines; in a slice, those of the others follow the first one's."""

    def __init__(self, store: Store, name: str):
        self._store, self._name = store, name
        self._read: dict[int, int] = {}  # number of a machine -> bytes of its log that were read

    def read(self) -> Iterator[str]:
        """Yields the lines since the last call. A line that has no end yet comes later."""
        for number in self._machines():
            data = b""
            with contextlib.suppress(FileNotFoundError):
                data = self._store.read(log_file(self._name, number))
            start = self._read.get(number, 0)
            if len(data) < start:  # another machine has taken its place and began its log again
                start = 0
            end = data.rfind(b"\n") + 1
            if number and end > start:
                yield f"==> machine {number} <=="
            yield from data[start:end].decode(errors="replace").splitlines()
            self._read[number] = max(start, end)

    def _machines(self) -> list[int]:
        """Returns the numbers of the machines that have written a log."""
        pattern = rf"logs/{re.escape(self._name)}\.(?:([1-9][0-9]*)\.)?log"
        files = self._store.list(f"logs/{self._name}.")
        found = (re.fullmatch(pattern, file) for file in files)
        return sorted(int(match[1] or 0) for match in found if match)


def log_file(name: str, number: int = 0) -> str:
    """Returns the name in the workdir of a machine's log; the first one's has no number."""
    return f"logs/{name}.{number}.log" if number else f"logs/{name}.log"
