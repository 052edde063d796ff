"""A store in a Cloud Storage bucket. See `storage.store` for the interface.

    store = GcsStore("gs://bucket/runs/imdb", field="--workdir", retry_seconds=120.0)

Transient failures are retried with growing delays, and transferred bytes are compared with their
checksum. With STORAGE_EMULATOR_HOST all requests go to an emulator.
"""

import contextlib
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import TypeVar

from absl import logging
from google.api_core import exceptions
from google.cloud.storage import Blob, Client
from google.cloud.storage.exceptions import DataCorruption
from google.cloud.storage.retry import DEFAULT_RETRY

from storage import checksum, scratch
from storage.errors import Corrupt, UserError
from storage.gcs_errors import explained, has_to_be_sent_again, normalize, reason
from storage.gcs_log import GcsLog

# https://cloud.google.com/storage/docs/buckets#naming; the server itself refuses reserved names.
_BUCKET = re.compile(r"(?=.{3,222}$)[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9_-]{1,63})*")
# Nor characters that tools expand, or that stand for bytes which are not UTF-8.
_NOT_IN_NAMES = re.compile(r"[\x00-\x1f\x7f#*?\[\]\ud800-\udfff]")
_LONGEST_NAME = 900  # bytes; the names of a run's objects need the rest of the 1,024 allowed
_CONNECT_SECONDS, _ANSWER_SECONDS = 10.0, 30.0
_FIRST_DELAY, _LONGEST_DELAY = 0.2, 10.0  # seconds between two attempts
_SECONDS_TO_NOTICE = 5.0
_ATTEMPTS = 3  # at a transfer whose bytes arrive damaged
_SHOWN = {".html": "text/html", ".png": "image/png"}  # by a browser; others are downloaded
_TURNS = 100  # at an object that another process replaces each time between two requests

_Result = TypeVar("_Result")


class _Damaged(Exception):
    """Bytes were not transferred intact."""


class GcsStore:
    """A Store of the objects in a bucket whose names have a prefix."""

    def __init__(self, url: str, field: str, retry_seconds: float):
        self.url = url
        self._field = field
        self._retry_seconds = retry_seconds
        bucket, self._prefix = self._parse(url)
        _check_emulator()
        retry = DEFAULT_RETRY.with_delay(initial=_FIRST_DELAY, maximum=_LONGEST_DELAY)
        self._policy = {
            "retry": retry.with_timeout(retry_seconds),
            "timeout": (_CONNECT_SECONDS, _ANSWER_SECONDS),
        }
        with explained(f"{field}: {url}", bucket, retry_seconds):
            self._client = Client(project=None)  # requests for objects need no project
            # The session of all requests; the client has no public name for it.
            self._client._http.hooks["response"].append(normalize)
            self._bucket = self._client.bucket(bucket)
            # A first request, so that missing credentials, a missing bucket or a missing permission
            # to read are found now and not in the middle of a job.
            with _notice(f"{url} does not answer; retrying for {retry_seconds:g} s"):
                next(iter(self._listing("", max_results=1)), None)

    def list(self, prefix: str = "") -> list[str]:
        with self._explained(prefix):
            names = [blob.name.removeprefix(self._prefix) for blob in self._listing(prefix)]
        return sorted(names)

    def exists(self, name: str) -> bool:
        with self._explained(name):
            return self._blob(name).exists(**self._policy)

    def read(self, name: str) -> bytes:
        def fetch(blob: Blob) -> tuple[bytes, int, int]:
            data = blob.download_as_bytes(checksum=None, **self._policy)
            return data, len(data), checksum.of(data)

        return self._verified(name, fetch)

    def write(self, name: str, data: bytes, check: Callable[[], None] | None = None) -> None:
        with self._explained(name):
            if check:
                self._fenced_put(name, data, check, None)
            else:
                self._put(name, data)

    def create(self, name: str, data: bytes) -> None:
        with self._explained(name):
            for _ in range(_TURNS):
                try:
                    self._put(name, data, if_generation_match=0)
                    return
                except exceptions.PreconditionFailed as error:
                    refused = reason(error)
                    # When an answer is lost the client retries, and meets the object it has
                    # created. An object that is gone again was another process's.
                    with contextlib.suppress(FileNotFoundError):
                        if self.read(name) == data:
                            return
                        raise FileExistsError(f"{self.url}/{name}") from None
            raise self._busy(name, refused)

    def upload(self, path: Path, name: str, crc32c: int) -> None:
        with self._explained(name):
            arrived = self._put(name, path).crc32c
        if arrived not in (None, checksum.encoded(crc32c)):
            raise Corrupt(f"{self._field}: {self.url}/{name}: {path} has changed on local disk")
        path.unlink()

    def download(self, name: str, path: Path) -> None:
        def fetch(blob: Blob) -> tuple[None, int, int]:
            with scratch.room():
                blob.download_to_filename(str(path), checksum=None, **self._policy)
            return None, path.stat().st_size, checksum.of_file(path)

        self._verified(name, fetch)

    def delete(self, name: str) -> None:
        with self._explained(name), contextlib.suppress(exceptions.NotFound):
            self._blob(name).delete(**self._policy)

    def open_log(self, name: str, data: bytes, check: Callable[[], None]) -> GcsLog:
        generation: int | None = None  # of the object as this log wrote it last

        def put(data: bytes) -> None:
            nonlocal generation
            with self._explained(name):
                generation = self._fenced_put(name, data, check, generation)

        return GcsLog(put, data)

    def scratch(self) -> contextlib.AbstractContextManager[Path]:
        return scratch.temporary()

    def sweep(self) -> None:
        scratch.sweep_temporary()

    def _parse(self, url: str) -> tuple[str, str]:
        bucket, _, name = url.removeprefix("gs://").partition("/")
        name = name.removesuffix("/")
        if not _BUCKET.fullmatch(bucket):
            raise UserError(
                f"{self._field}: got {url!r}, whose bucket {bucket!r} has no valid name; accepted "
                "are 3 to 63 of a-z, 0-9, '-', '_' and '.', a letter or digit first and last"
            )
        nowhere = {"", ".", ".."} & set(name.split("/"))
        if nowhere or _NOT_IN_NAMES.search(name) or len(name.encode()) > _LONGEST_NAME:
            raise UserError(
                f"{self._field}: got {url!r}; after the bucket give a name of up to "
                f"{_LONGEST_NAME} bytes, such as gs://{bucket}/runs/imdb, without empty parts, "
                "'.', '..', control characters or any of #*?[]"
            )
        return bucket, f"{name}/"

    def _blob(self, name: str) -> Blob:
        if name.startswith("/") or ".." in name.split("/"):
            raise ValueError(f"name: got {name!r}, expected a relative name without '..'")
        return self._bucket.blob(self._prefix + name)

    def _listing(self, prefix: str, max_results: int | None = None) -> Iterator[Blob]:
        return self._client.list_blobs(
            self._bucket,
            prefix=self._blob(prefix).name if prefix else self._prefix,
            max_results=max_results,
            fields="items(name),nextPageToken",
            **self._policy,
        )

    def _fenced_put(
        self, name: str, data: bytes, check: Callable[[], None], generation: int | None
    ) -> int:
        """Replaces the object unless it is newer than the last call of `check`.

        `generation` is the object's if this process wrote it, otherwise None. Returns the new one.
        """
        for _ in range(_TURNS):
            if generation is None:
                generation = self._generation(name)
                check()
            try:
                return self._put(name, data, generation).generation
            except exceptions.PreconditionFailed as error:
                refused = reason(error)
                generation = None  # written by another process, or by this one with a lost answer
        raise self._busy(name, refused)

    def _generation(self, name: str) -> int:
        """Returns the object's generation, 0 when it doesn't exist."""
        found = self._bucket.get_blob(self._blob(name).name, **self._policy)
        return found.generation if found else 0

    def _put(self, name: str, source: bytes | Path, if_generation_match: int | None = None) -> Blob:
        """Uploads bytes or a file, with a checksum that the server verifies."""
        options = {
            "content_type": _SHOWN.get(PurePosixPath(name).suffix, "application/octet-stream"),
            "if_generation_match": if_generation_match,
            "checksum": "crc32c",
            **self._policy,
        }

        def put() -> Blob:
            blob = self._blob(name)
            try:
                if isinstance(source, bytes):
                    blob.upload_from_string(source, **options)
                else:
                    blob.upload_from_filename(str(source), **options)
            except (exceptions.GoogleAPICallError, DataCorruption) as error:
                if not has_to_be_sent_again(error, if_generation_match is not None):
                    raise
                raise _Damaged(reason(error)) from error
            return blob

        return self._retried(put, name)

    def _verified(self, name: str, fetch: Callable[[Blob], tuple[_Result, int, int]]) -> _Result:
        """Returns the result of `fetch`, which also returns the size and CRC-32C of what arrived.

        Both are compared with the object's: the client verifies no download that it has resumed.
        Raises FileNotFoundError when the object doesn't exist.
        """

        def get() -> _Result:
            gone = None  # a generation that was replaced or deleted
            for _ in range(_TURNS):
                blob = self._bucket.get_blob(self._blob(name).name, **self._policy)
                if blob is None:
                    raise FileNotFoundError(f"{self.url}/{name}")
                try:
                    result, size, crc32c = fetch(blob)  # of the blob's generation
                except exceptions.NotFound:
                    if blob.generation == gone:
                        raise
                    gone = blob.generation
                    continue
                if size != blob.size:
                    raise _Damaged(f"{size} bytes arrived of {blob.size}")
                if checksum.encoded(crc32c) != blob.crc32c:
                    raise _Damaged("the bytes have another checksum")
                return result
            raise self._busy(name, "each generation was gone before it was read")

        with self._explained(name):
            return self._retried(get, name)

    def _retried(self, transfer: Callable[[], _Result], name: str) -> _Result:
        """Returns what `transfer` returns, retried when it raises _Damaged."""
        for _ in range(_ATTEMPTS - 1):
            with contextlib.suppress(_Damaged):
                return transfer()
        try:
            return transfer()
        except _Damaged as error:
            raise Corrupt(
                f"{self._field}: {self.url}/{name}: not transferred intact in {_ATTEMPTS} tries "
                f"({error}); run the same command again"
            ) from error

    def _busy(self, name: str, refused: str) -> UserError:
        return UserError(
            f"{self._field}: {self.url}/{name}: another process has replaced it {_TURNS} times in "
            f"a row ({refused}); stop the other runs on this folder, and run the same command again"
        )

    def _explained(self, name: str) -> contextlib.AbstractContextManager[None]:
        place = f"{self._field}: {self.url}" + (f"/{name}" if name else "")
        return explained(place, self._bucket.name, self._retry_seconds)


def _check_emulator() -> None:
    host = os.environ.get("STORAGE_EMULATOR_HOST")
    if host and not re.match("https?://", host):
        raise UserError(
            f"STORAGE_EMULATOR_HOST: got {host!r}, accepted is http://HOST:PORT; set it to that"
        )


@contextlib.contextmanager
def _notice(text: str) -> Iterator[None]:
    """Logs a warning when the body of the context takes long."""
    timer = threading.Timer(_SECONDS_TO_NOTICE, logging.warning, [text])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
