"""Shards of a bucket kept on local disk, within a limit; whatever was used longest ago goes.

    cache = ShardCache(Path("~/.cache/longhaul/shards").expanduser(), limit=20 * 10**9)
    data = cache.read(name, intact=lambda data: len(data) == 17, fetch=lambda: store.read(name))

Several processes may share a folder without knowing of each other: files appear whole, an open one
outlives its removal, and what is read is checked, so that the worst is to fetch a shard twice. The
folder may pass its limit by what the others are writing at that moment.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from absl import logging

from input_pipeline.cache import written_whole


class ShardCache:
    """A folder of files whose content their names decide."""

    def __init__(self, folder: Path, limit: int):
        """`limit` is in bytes."""
        self._folder = folder
        self._limit = limit

    def read(self, name: str, intact: Callable[[bytes], bool], fetch: Callable[[], bytes]) -> bytes:
        """The bytes of that name, of `fetch` where the folder hasn't them `intact`.

        A folder that can't be written costs a warning: the data is as good without it.
        """
        path = self._folder / name
        with contextlib.suppress(OSError):  # most of all: it isn't there
            data = path.read_bytes()
            if intact(data):
                with contextlib.suppress(OSError):  # removed meanwhile
                    _mark_used(path)
                return data
            logging.warning("%s: damaged, fetching it again", path)
        data = fetch()
        try:
            self._keep(path, data)
        except OSError as error:
            logging.warning(
                "config.data.cache_dir: %s: %s; going on without it", path, error.strerror or error
            )
        return data

    def _keep(self, path: Path, data: bytes) -> None:
        if len(data) > self._limit:
            return
        path.unlink(missing_ok=True)  # a damaged one
        self._make_room(len(data))
        with written_whole(path) as file:
            file.write(data)
        with contextlib.suppress(FileNotFoundError):  # removed by another process
            _mark_used(path)

    def _make_room(self, size: int) -> None:
        """Removes files until `size` more bytes fit; those of killed processes are among them."""
        files = sorted(self._files())
        excess = sum(bytes_ for _, bytes_, _ in files) + size - self._limit
        for _, bytes_, path in files:
            if excess <= 0:
                return
            path.unlink(missing_ok=True)
            excess -= bytes_

    def _files(self) -> Iterator[tuple[int, int, Path]]:
        """(last use in ns, bytes, path) of each file."""
        for path in self._folder.glob("*"):  # no matter whether the folder is there
            with contextlib.suppress(FileNotFoundError):  # removed by another process
                stat = path.stat()
                yield stat.st_mtime_ns, stat.st_size, path


def _mark_used(path: Path) -> None:
    # A time of our own, since the system's go by its ticks, and two files would share one.
    now = time.time_ns()
    os.utime(path, ns=(now, now))
