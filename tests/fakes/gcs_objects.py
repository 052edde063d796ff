"""Buckets, objects and upload sessions with the rules of Cloud Storage; tests/gcs_server.py's half
that knows no HTTP.

    objects = Objects("http://127.0.0.1:9023", buckets=["bucket"], page_size=1000)
    objects.insert("bucket", "name", b"data", conditions={"ifGenerationMatch": "0"})
    resource, data = objects.read("bucket", "name", {})

Conditions and queries are the parameters of the JSON API, as text. What the service would refuse
raises Refused. Every method is atomic.
"""

import base64
import dataclasses
import datetime
import hashlib
import json
import re
import threading
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import google_crc32c

# A chunk that isn't the last of its upload is a multiple of this.
CHUNK_UNIT = 256 << 10

Checksum = tuple[str, str]  # "crc32c" or "md5", and its value in base64

_WRITABLE = ("cacheControl", "contentDisposition", "contentLanguage", "contentType", "customTime")
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(?:(\d+)|\*)")


class Refused(Exception):
    """What the service answers instead of doing it, as its JSON error says it."""

    def __init__(self, status: int, message: str, reason: str):
        super().__init__(message)
        self.status = status
        error = {"message": message, "domain": "global", "reason": reason}
        error = {"code": status, "message": message, "errors": [error]}
        self.body = json.dumps({"error": error}).encode()


def not_implemented(what: str) -> Refused:
    """So that nobody takes an answer of this server for one that the service would give."""
    return Refused(501, f"tests/gcs_server.py does not implement {what}.", "notImplemented")


def _invalid(message: str) -> Refused:
    return Refused(400, message, "invalid")


@dataclasses.dataclass
class Session:
    """A resumable upload: `resource` is there once it is finished."""

    bucket: str
    name: str
    metadata: Mapping[str, Any]
    conditions: Mapping[str, str]
    size: int | None  # None as long as nobody has said it
    checksums: list[Checksum]
    data: bytearray = dataclasses.field(default_factory=bytearray)
    resource: dict[str, Any] | None = None


class Objects:
    """The content of the service. `url` is where the links of its resources point to."""

    def __init__(self, url: str, buckets: Iterable[str], page_size: int):
        self._url = url
        self._page_size = page_size
        self._lock = threading.RLock()
        self._generation = 0
        # Bucket -> name -> resource and data.
        self._buckets: dict[str, dict[str, tuple[dict[str, Any], bytes]]] = {
            bucket: {} for bucket in buckets
        }
        # Upload id -> session, None when it has ended without an object.
        self._sessions: dict[str, Session | None] = {}

    def bucket(self, bucket: str) -> dict[str, Any]:
        """The resource of a bucket."""
        self._in(bucket)
        link = f"{self._url}/storage/v1/b/{bucket}"
        return {"kind": "storage#bucket", "id": bucket, "name": bucket, "selfLink": link} | {
            "location": "US",
            "storageClass": "STANDARD",
            "metageneration": "1",
        }

    def snapshot(self, bucket: str) -> dict[str, bytes]:
        """Name -> data of every object."""
        with self._lock:
            return {name: data for name, (_, data) in self._in(bucket).items()}

    def insert(
        self,
        bucket: str,
        name: str,
        data: bytes,
        metadata: Mapping[str, Any] | None = None,
        checksums: Sequence[Checksum] = (),
        conditions: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Creates or replaces an object, and returns its resource."""
        metadata = metadata or {}
        sums = _checksums(data)
        for kind, expected in (*checksums, *given_checksums(metadata)):
            if expected != sums[kind]:
                raise _invalid(
                    f'Provided {kind.upper()} "{expected}" doesn\'t match calculated '
                    f'{kind.upper()} "{sums[kind]}".'
                )
        with self._lock:
            self._check_insert(bucket, name, metadata, conditions or {})
            resource = self._resource(bucket, name, data, metadata, sums)
            self._buckets[bucket][name] = resource, data
            return resource

    def read(
        self, bucket: str, name: str, query: Mapping[str, str]
    ) -> tuple[dict[str, Any], bytes]:
        """The resource and the data of an object."""
        with self._lock:
            found = self._in(bucket).get(name)
            # There are no versions but the live one.
            if (
                not found
                or query.get("generation", found[0]["generation"]) != (found[0]["generation"])
            ):
                raise Refused(404, f"No such object: {bucket}/{name}", "notFound")
            _check(found[0], query, unchanged=304)
            return found

    def delete(self, bucket: str, name: str, query: Mapping[str, str]) -> None:
        """Removes an object."""
        with self._lock:
            resource, _ = self.read(bucket, name, {k: query[k] for k in query if k == "generation"})
            _check(resource, query)
            del self._buckets[bucket][name]

    def list(self, bucket: str, query: Mapping[str, str]) -> dict[str, Any]:
        """A page of the objects, in the order of the bytes of their names."""
        try:
            after = base64.urlsafe_b64decode(query.get("pageToken", ""))
            limit = min(int(query.get("maxResults", self._page_size)), self._page_size)
        except ValueError as error:
            raise _invalid(f"Invalid argument: {error}") from None
        with self._lock:
            # Key of the order -> resource, None when it stands for all names with that prefix.
            entries: dict[bytes, dict[str, Any] | None] = {}
            for name, (resource, _) in self._in(bucket).items():
                if _selected(name, query):
                    shared = _up_to_delimiter(name, query)
                    entries[(shared or name).encode()] = None if shared else resource
        keys = sorted(key for key in entries if key > after)
        page = keys[: max(limit, 1)]
        answer: dict[str, Any] = {"kind": "storage#objects"}
        if items := [entries[key] for key in page if entries[key]]:
            answer["items"] = items
        if prefixes := [key.decode() for key in page if not entries[key]]:
            answer["prefixes"] = prefixes
        if len(page) < len(keys):
            answer["nextPageToken"] = base64.urlsafe_b64encode(page[-1]).decode()
        return answer

    def start(
        self,
        bucket: str,
        name: str,
        metadata: Mapping[str, Any],
        checksums: Sequence[Checksum],
        conditions: Mapping[str, str],
        size: int | None,
    ) -> str:
        """Opens a session, and returns its id."""
        with self._lock:
            self._check_insert(bucket, name, metadata, conditions)
            upload_id = uuid.uuid4().hex
            self._sessions[upload_id] = Session(
                bucket, name, metadata, conditions, size, list(checksums)
            )
            return upload_id

    def session(self, upload_id: str) -> Session:
        """The session, open or finished."""
        with self._lock:
            if upload_id not in self._sessions:
                raise Refused(404, "No such upload session.", "notFound")
            session = self._sessions[upload_id]
            if session is None:
                raise Refused(410, "The upload session has ended.", "gone")
            return session

    def receive(
        self, upload_id: str, content_range: str, data: bytes, checksums: Sequence[Checksum] = ()
    ) -> Session:
        """Takes a chunk, or none with `*` for its range; finishes the upload when all is there."""
        with self._lock:
            session = self.session(upload_id)
            if session.resource:
                return session
            first, size = _parse_content_range(content_range, len(data))
            if None not in (size, session.size) and size != session.size:
                raise _invalid(f"The upload has {session.size} bytes, not {size}.")
            self.append(upload_id, len(session.data) if first is None else first, data)
            session.size = session.size if size is None else size
            session.checksums += checksums
            # The size announced at the start doesn't end an upload, the one of a chunk does.
            if len(session.data) == size:
                self._finish(upload_id, session)
            return session

    def append(self, upload_id: str, first: int, data: bytes) -> None:
        """Stores what begins at `first`, less what the session already has."""
        with self._lock:
            held = self.session(upload_id).data
            if first > len(held):
                raise Refused(
                    503,
                    "Invalid request.  According to the Content-Range header, the upload offset is "
                    f"{first} byte(s), which exceeds already uploaded size of {len(held)} byte(s).",
                    "backendError",
                )
            held += data[len(held) - first :]

    def cancel(self, upload_id: str) -> None:
        """Ends a session."""
        with self._lock:
            self.session(upload_id)
            self._sessions[upload_id] = None

    def _finish(self, upload_id: str, session: Session) -> None:
        try:
            session.resource = self.insert(
                session.bucket,
                session.name,
                bytes(session.data),
                session.metadata,
                session.checksums,
                session.conditions,
            )
        except Refused:
            self._sessions[upload_id] = None
            raise
        session.data.clear()

    def _in(self, bucket: str) -> dict[str, tuple[dict[str, Any], bytes]]:
        if bucket not in self._buckets:
            raise Refused(404, "The specified bucket does not exist.", "notFound")
        return self._buckets[bucket]

    def _check_insert(
        self, bucket: str, name: str, metadata: Mapping[str, Any], conditions: Mapping[str, str]
    ) -> None:
        found = self._in(bucket).get(name)
        if not name:
            raise Refused(400, "Required", "required")
        if name in (".", "..") or set(name) & set("\r\n") or len(name.encode()) > 1024:
            raise _invalid(f"Invalid object name: {name!r}")
        if "contentEncoding" in metadata:
            raise not_implemented("contentEncoding")
        _check(found[0] if found else {}, conditions)

    def _resource(
        self,
        bucket: str,
        name: str,
        data: bytes,
        metadata: Mapping[str, Any],
        sums: Mapping[str, str],
    ) -> dict[str, Any]:
        now = time.time()
        self._generation = max(self._generation + 1, int(now * 1e6))
        generation = str(self._generation)
        path = f"storage/v1/b/{bucket}/o/{quote(name, safe='')}"
        updated = datetime.datetime.fromtimestamp(now, datetime.timezone.utc)
        updated = updated.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        written = {key: metadata[key] for key in (*_WRITABLE, "metadata") if key in metadata}
        return {
            "kind": "storage#object",
            "id": f"{bucket}/{name}/{generation}",
            "selfLink": f"{self._url}/{path}",
            "mediaLink": f"{self._url}/download/{path}?generation={generation}&alt=media",
            "name": name,
            "bucket": bucket,
            "generation": generation,
            "metageneration": "1",
            "contentType": "application/octet-stream",
            "storageClass": metadata.get("storageClass", "STANDARD"),
            "size": str(len(data)),
            "md5Hash": sums["md5"],
            "crc32c": sums["crc32c"],
            "etag": base64.b64encode(generation.encode()).decode(),
            "timeCreated": updated,
            "updated": updated,
        } | written


def given_checksums(metadata: Mapping[str, Any]) -> list[Checksum]:
    """What an object's metadata says that its data must be."""
    keys = {"md5": "md5Hash", "crc32c": "crc32c"}
    return [(kind, metadata[key]) for kind, key in keys.items() if metadata.get(key)]


def _checksums(data: bytes) -> dict[str, str]:
    sums = {
        "md5": hashlib.md5(data, usedforsecurity=False).digest(),
        "crc32c": google_crc32c.value(data).to_bytes(4, "big"),
    }
    return {kind: base64.b64encode(digest).decode() for kind, digest in sums.items()}


def _check(resource: Mapping[str, Any], query: Mapping[str, str], unchanged: int = 412) -> None:
    """Refuses when a precondition fails; no object has generation 0."""
    for key in ("generation", "metageneration"):
        actual = int(resource.get(key, 0))
        for ending, wanted, status in (("Match", True, 412), ("NotMatch", False, unchanged)):
            expected = query.get(f"if{key.capitalize()}{ending}")
            if expected is None:
                continue
            if not re.fullmatch(r"\d+", expected):
                raise _invalid(f"Invalid value for if{key.capitalize()}{ending}: {expected!r}")
            if (int(expected) == actual) != wanted:
                message = "At least one of the pre-conditions you specified did not hold."
                raise Refused(status, message, "conditionNotMet")


def _parse_content_range(content_range: str, length: int) -> tuple[int | None, int | None]:
    """The first byte of a chunk, None when there is none, and the size, None while unknown."""
    match = _CONTENT_RANGE.fullmatch(content_range)
    if not match:
        raise _invalid(f"Failed to parse Content-Range header: {content_range!r}")
    first, last, size = (None if part is None else int(part) for part in match.groups())
    end = None if last is None else last + 1
    if length != (0 if first is None else end - first):
        raise _invalid(f"Content-Range {content_range!r} does not fit a body of {length} bytes.")
    if None not in (end, size) and end > size:
        raise _invalid(f"Content-Range {content_range!r} ends after the upload.")
    if end != size and length % CHUNK_UNIT:
        raise _invalid(f"A chunk of {length} bytes, which is not a multiple of {CHUNK_UNIT}.")
    return first, size


def _selected(name: str, query: Mapping[str, str]) -> bool:
    start, end = query.get("startOffset", ""), query.get("endOffset", "")
    return (
        name.startswith(query.get("prefix", ""))
        and name.encode() >= start.encode()
        and (not end or name.encode() < end.encode())
    )


def _up_to_delimiter(name: str, query: Mapping[str, str]) -> str | None:
    """The start that stands for the name, when a delimiter follows the prefix."""
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    if not delimiter or delimiter not in name[len(prefix) :]:
        return None
    return name[: name.index(delimiter, len(prefix)) + len(delimiter)]
