"""A cache of shards on local disk, with a size limit. The least recently used shards go first.

    cache = ShardCache(Path("/home/me/.cache/longhaul/shards"), limit=20 * 10**9)
    data = cache.read(name, is_intact=verify, fetch=lambda: store.read(name))

Several processes may share a folder without coordination: files appear whole, a file that a process
has open outlives its removal, and what is read is verified. At worst a shard is fetched twice. The
folder may exceed its limit by what other processes are writing at that moment.
"""

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from absl import logging

from input_pipeline.cache import open_trusted, warn_once, written_whole


class ShardCache:
    """A folder of files. A name always stands for the same content."""

    def __init__(self, folder: Path, limit: int):
        """`limit` is in bytes."""
        self._folder = folder
        self._limit = limit

    def read(
        self, name: str, is_intact: Callable[[bytes], bool], fetch: Callable[[], bytes]
    ) -> bytes:
        """Returns the cached bytes of `name` if they pass `is_intact`; otherwise fetches them.

        What `fetch` returns is cached. A folder that can't be used costs a warning only.
        """
        path = self._folder / name
        try:
            with open_trusted(path) as file:
                data = file.read()
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            warn_once(self._folder, error)
            return fetch()
        else:
            if is_intact(data):
                with contextlib.suppress(OSError):  # removed in the meantime
                    _mark_used(path)
                return data
            logging.warning("%s: damaged, fetching it again", path)
        data = fetch()
        try:
            self._keep(path, data)
        except OSError as error:
            warn_once(self._folder, error)
        return data

    def _keep(self, path: Path, data: bytes) -> None:
        if len(data) > self._limit:
            return
        path.unlink(missing_ok=True)  # a damaged file
        self._make_room(len(data))
        try:
            with written_whole(path) as file:
                file.write(data)
            _mark_used(path)
        except FileNotFoundError:  # removed by another process, to make room
            if not self._folder.is_dir():
                raise

    def _make_room(self, size: int) -> None:
        """Removes files, also those of killed processes, until `size` more bytes fit.

        Raises OSError when they don't fit beside files that can't be removed.
        """
        files = sorted(self._files())
        excess = sum(bytes_ for _, bytes_, _ in files) + size - self._limit
        for _, bytes_, path in files:
            if excess <= 0:
                return
            with contextlib.suppress(PermissionError):  # another user's
                path.unlink(missing_ok=True)
                excess -= bytes_
        if excess > 0:
            raise OSError(errno.EDQUOT, "files of other users fill it to config.data.cache_bytes")

    def _files(self) -> Iterator[tuple[int, int, Path]]:
        """Yields (last use in nanoseconds, bytes, path) of each file; none without a folder."""
        for path in self._folder.glob("*"):
            with contextlib.suppress(FileNotFoundError):  # removed by another process
                status = path.lstat()
                if not stat.S_ISDIR(status.st_mode):
                    yield status.st_mtime_ns, status.st_size, path


def _mark_used(path: Path) -> None:
    # The file system's own times are as coarse as its clock ticks: two files would share one.
    now = time.time_ns()
    os.utime(path, ns=(now, now))
