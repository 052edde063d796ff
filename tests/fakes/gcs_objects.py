"""Buckets, objects and upload sessions of the Cloud Storage fake; the half that knows no HTTP.

    objects = Objects("http://127.0.0.1:9023", buckets=["bucket"], page_size=1000)
    objects.insert("bucket", "name", b"data", conditions={"ifGenerationMatch": "0"})
    resource, data = objects.read("bucket", "name", {})

Conditions and queries are the parameters of the JSON API, as text. A method raises Refused for what
the service would refuse. Every method is atomic.
"""

import base64
import dataclasses
import datetime
import threading
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from tests.fakes import gcs_rules
from tests.fakes.gcs_rules import Checksum, Refused

_WRITABLE = ("cacheControl", "contentDisposition", "contentLanguage", "contentType", "customTime")


@dataclasses.dataclass
class Session:
    """A resumable upload. `resource` is None until it is finished."""

    bucket: str
    name: str
    metadata: Mapping[str, Any]
    conditions: Mapping[str, str]
    size: int | None  # None while it is unknown
    checksums: list[Checksum]
    data: bytearray = dataclasses.field(default_factory=bytearray)
    resource: dict[str, Any] | None = None


class Objects:
    """The content of the service. The links in its resources begin with `url`."""

    def __init__(self, url: str, buckets: Iterable[str], page_size: int):
        self.wrong_checksum = 400
        self._url = url
        self._page_size = page_size
        self._lock = threading.RLock()
        self._generation = 0
        # Bucket -> name -> resource and data.
        self._buckets: dict[str, dict[str, tuple[dict[str, Any], bytes]]] = {
            bucket: {} for bucket in buckets
        }
        # Upload id -> session, or None when it ended without an object.
        self._sessions: dict[str, Session | None] = {}

    def bucket(self, bucket: str) -> dict[str, Any]:
        """Returns the resource of a bucket."""
        self._objects_in(bucket)
        link = f"{self._url}/storage/v1/b/{bucket}"
        return {"kind": "storage#bucket", "id": bucket, "name": bucket, "selfLink": link} | {
            "location": "US",
            "storageClass": "STANDARD",
            "metageneration": "1",
        }

    def snapshot(self, bucket: str) -> dict[str, bytes]:
        """Returns the data of every object, by name."""
        with self._lock:
            return {name: data for name, (_, data) in self._objects_in(bucket).items()}

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
        sums = gcs_rules.checksums_of(data)
        for kind, expected in (*checksums, *gcs_rules.given_checksums(metadata)):
            if expected != sums[kind]:
                raise Refused(
                    self.wrong_checksum,
                    f'Provided {kind.upper()} "{expected}" doesn\'t match calculated '
                    f'{kind.upper()} "{sums[kind]}".',
                    "invalid",
                )
        with self._lock:
            self._check_insert(bucket, name, metadata, conditions or {})
            resource = self._resource(bucket, name, data, metadata, sums)
            self._buckets[bucket][name] = resource, data
            return resource

    def read(
        self, bucket: str, name: str, query: Mapping[str, str]
    ) -> tuple[dict[str, Any], bytes]:
        """Returns the resource and the data of an object."""
        with self._lock:
            found = self._objects_in(bucket).get(name)
            # Only the live version is kept.
            if (
                not found
                or query.get("generation", found[0]["generation"]) != (found[0]["generation"])
            ):
                raise Refused(404, f"No such object: {bucket}/{name}", "notFound")
            gcs_rules.check_preconditions(found[0], query, unchanged=304)
            return found

    def delete(self, bucket: str, name: str, query: Mapping[str, str]) -> None:
        """Removes an object."""
        with self._lock:
            resource, _ = self.read(bucket, name, {k: query[k] for k in query if k == "generation"})
            gcs_rules.check_preconditions(resource, query)
            del self._buckets[bucket][name]

    def list(self, bucket: str, query: Mapping[str, str]) -> dict[str, Any]:
        """Returns a page of the objects, ordered by the bytes of their names."""
        try:
            after = base64.urlsafe_b64decode(query.get("pageToken", ""))
            limit = min(int(query.get("maxResults", self._page_size)), self._page_size)
        except ValueError as error:
            raise gcs_rules.invalid(f"Invalid argument: {error}") from None
        with self._lock:
            # Sort key -> resource, or None for a prefix that several names share.
            entries: dict[bytes, dict[str, Any] | None] = {}
            for name, (resource, _) in self._objects_in(bucket).items():
                if gcs_rules.is_selected(name, query):
                    shared = gcs_rules.shared_prefix(name, query)
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
        """Returns a session, open or finished."""
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
        """Takes a chunk, or none when its range is `*`; finishes a complete upload."""
        with self._lock:
            session = self.session(upload_id)
            if session.resource:
                return session
            first, size = gcs_rules.parse_content_range(content_range, len(data))
            if None not in (size, session.size) and size != session.size:
                raise gcs_rules.invalid(f"The upload has {session.size} bytes, not {size}.")
            self.append(upload_id, len(session.data) if first is None else first, data)
            session.size = session.size if size is None else size
            session.checksums += checksums
            # Only a size that comes with a chunk ends an upload, not the one given at its start.
            if len(session.data) == size:
                self._finish(upload_id, session)
            return session

    def append(self, upload_id: str, first: int, data: bytes) -> None:
        """Stores bytes from position `first` on, without those that the session already has."""
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

    def _objects_in(self, bucket: str) -> dict[str, tuple[dict[str, Any], bytes]]:
        if bucket not in self._buckets:
            raise Refused(404, "The specified bucket does not exist.", "notFound")
        return self._buckets[bucket]

    def _check_insert(
        self, bucket: str, name: str, metadata: Mapping[str, Any], conditions: Mapping[str, str]
    ) -> None:
        found = self._objects_in(bucket).get(name)
        gcs_rules.check_name(name)
        if "contentEncoding" in metadata:
            raise gcs_rules.not_implemented("contentEncoding")
        gcs_rules.check_preconditions(found[0] if found else {}, conditions)

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
