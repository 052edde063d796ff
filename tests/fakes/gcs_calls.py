"""Requests of the JSON API as operations on the objects of the Cloud Storage fake.

    call = Call(objects, "http://127.0.0.1:9023", "GET", "/storage/v1/b/bucket/o", headers)
    call.operation, call.bucket        # ("list", "bucket")
    answer = call.execute()

A call knows no socket: who receives the request appends to `call.body`.
"""

import contextlib
import dataclasses
import email.message
import json
import re
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.fakes.gcs_fields import selected
from tests.fakes.gcs_objects import Objects, Session
from tests.fakes.gcs_rules import CHUNK_UNIT, Checksum, Refused, not_implemented

_BUCKET = r"/storage/v1/b/(?P<bucket>[^/]+)"
_OBJECT = _BUCKET + r"/o/(?P<name>[^/]+)"
_UPLOAD = "/upload" + _BUCKET + "/o"
# Method, path and parameter -> operation. The first match counts.
_ROUTES = (
    ("GET", _BUCKET, None, "bucket"),
    ("GET", _BUCKET + "/o", None, "list"),
    ("GET", "(?:/download)?" + _OBJECT, ("alt", "media"), "download"),
    ("GET", _OBJECT, None, "get"),
    ("DELETE", _OBJECT, None, "delete"),
    ("POST", _UPLOAD, ("uploadType", "multipart"), "insert"),
    ("POST", _UPLOAD, ("uploadType", "media"), "insert"),
    ("POST", _UPLOAD, ("uploadType", "resumable"), "start"),
    ("PUT", _UPLOAD, ("uploadType", "resumable"), "chunk"),
    ("DELETE", _UPLOAD, ("uploadType", "resumable"), "cancel"),
)
_PARAMETERS = {
    *("alt", "fields", "generation", "name", "prettyPrint", "projection", "uploadType"),
    *("upload_id", "prefix", "delimiter", "maxResults", "pageToken", "startOffset", "endOffset"),
    *("ifGenerationMatch", "ifGenerationNotMatch"),
    *("ifMetagenerationMatch", "ifMetagenerationNotMatch"),
}
_JSON = {"Content-Type": "application/json; charset=UTF-8"}


@dataclasses.dataclass
class Answer:
    """The answer to a request."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = dataclasses.field(default_factory=dict)


class Call:
    """A request: its operation, the bucket and the object, and how it is answered.

    `operation` is "unknown" for everything that isn't implemented. `body` is the part of the
    request's body that has been received. With `is_corrupt` a byte of the data is changed.
    """

    def __init__(
        self, content: Objects, url: str, method: str, path: str, headers: email.message.Message
    ):
        """`url` is the server's; `path` is the request's, with its query."""
        self.body = b""
        self.is_corrupt = False
        self._content, self._url = content, url
        self._method, self._path, self._headers = method, path, headers
        split = urlsplit(path)
        self._query = dict(parse_qsl(split.query, keep_blank_values=True))
        self.operation, self.bucket, self._name = self._route(split.path)

    def _route(self, path: str) -> tuple[str, str, str]:
        """Returns operation, bucket, and the object's name if the path has it."""
        for method, pattern, parameter, operation in _ROUTES:
            match = re.fullmatch(pattern, path)
            if not match or method != self._method:
                continue
            if parameter and self._query.get(parameter[0]) != parameter[1]:
                continue
            if not self._query.keys() <= _PARAMETERS or "Transfer-Encoding" in self._headers:
                break
            parts = {key: unquote(value) for key, value in match.groupdict().items()}
            return operation, parts["bucket"], parts.get("name", "")
        return "unknown", "", path

    @property
    def is_named_in_body(self) -> bool:
        """Returns True when only the start of the body tells the object's name."""
        return self.operation in ("insert", "start") and "name" not in self._query

    @property
    def name(self) -> str:
        """Returns the object's name, or the prefix of a list; "" when it isn't known."""
        if self._name:
            return self._name
        if self.operation == "list":
            return self._query.get("prefix", "")
        with contextlib.suppress(Refused):
            if self.operation in ("chunk", "cancel"):
                return self._session().name
            if self.is_named_in_body:
                return self._metadata().get("name", "")
        return self._query.get("name", "")

    def execute(self) -> Answer:
        """Executes the operation, once the body is complete, and returns the answer."""
        try:
            answer = getattr(self, f"_{self.operation}")()
            if "fields" in self._query and answer.headers is _JSON:  # not the data of an object
                answer.body = json.dumps(
                    selected(json.loads(answer.body), self._query["fields"])
                ).encode()
            return answer
        except Refused as error:
            return refusal(error)

    def keep_blocks(self) -> None:
        """Stores the whole blocks of a chunk whose connection breaks."""
        first = re.match(r"bytes (\d+)-", self._headers.get("Content-Range", ""))
        if self.operation == "chunk" and first:
            whole = len(self.body) // CHUNK_UNIT * CHUNK_UNIT
            with contextlib.suppress(Refused):
                if not self._session().resource:
                    upload_id = self._query["upload_id"]
                    self._content.append(upload_id, int(first[1]), self.body[:whole])

    def _unknown(self) -> Answer:
        raise not_implemented(f"{self._method} {self._path}")

    def _bucket(self) -> Answer:
        return _json(self._content.bucket(self.bucket))

    def _list(self) -> Answer:
        return _json(self._content.list(self.bucket, self._query))

    def _get(self) -> Answer:
        resource, _ = self._content.read(self.bucket, self.name, self._query)
        return _json(resource)

    def _delete(self) -> Answer:
        self._content.delete(self.bucket, self.name, self._query)
        return Answer(status=204)

    def _download(self) -> Answer:
        resource, data = self._content.read(self.bucket, self.name, self._query)
        headers = {
            "Content-Type": resource["contentType"],
            "ETag": resource["etag"],
            "X-Goog-Generation": resource["generation"],
            "X-Goog-Metageneration": resource["metageneration"],
            "X-Goog-Hash": f"crc32c={resource['crc32c']},md5={resource['md5Hash']}",
            "X-Goog-Stored-Content-Length": resource["size"],
            "X-Goog-Stored-Content-Encoding": "identity",
        }
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self._headers.get("Range", "").strip())
        if not wanted or not any(wanted.groups()):
            return Answer(self._transferred(data), 200, headers)
        first, last = wanted.groups()
        start = int(first) if first else max(len(data) - int(last), 0)
        stop = min(int(last) + 1, len(data)) if first and last else len(data)
        if start >= stop:
            refused = Refused(416, "The requested range cannot be satisfied.", "requestedRange")
            return refusal(refused, {"Content-Range": f"bytes */{len(data)}"})
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        return Answer(self._transferred(data[start:stop]), 206, headers)

    def _insert(self) -> Answer:
        metadata, data = {}, self.body
        if self._query["uploadType"] == "multipart":
            metadata, parts = self._metadata(), self._parts()
            if len(parts) != 4 or not parts[3].startswith(b"--"):
                raise Refused(400, "Malformed multipart body.", "badContent")
            head, _, data = parts[2].partition(b"\r\n\r\n")
            content_type = re.search(rb"(?i)content-type: *([^\r]+)", head)
            content_type = content_type and content_type[1].decode()
        else:
            content_type = self._headers.get("Content-Type")
        if content_type:
            metadata = {"contentType": content_type} | metadata
        data = self._transferred(data)
        resource = self._content.insert(
            self.bucket, self.name, data, metadata, self._checksums(), self._query
        )
        return _json(resource)

    def _start(self) -> Answer:
        metadata = self._metadata()
        if content_type := self._headers.get("X-Upload-Content-Type"):
            metadata = {"contentType": content_type} | metadata
        size = self._headers.get("X-Upload-Content-Length")
        size = int(size) if size else None
        upload_id = self._content.start(
            self.bucket, self.name, metadata, self._checksums(), self._query, size
        )
        link = f"{self._url}{self._path}&upload_id={upload_id}"
        return Answer(headers={"Location": link, "X-GUploader-UploadID": upload_id})

    def _chunk(self) -> Answer:
        data = self.body
        # Without the header, all data is in one request.
        whole = f"bytes 0-{len(data) - 1}/{len(data)}" if data else "bytes */0"
        content_range = self._headers.get("Content-Range", whole)
        upload_id, data = self._query.get("upload_id", ""), self._transferred(data)
        session = self._content.receive(upload_id, content_range, data, self._checksums())
        if session.resource:
            return _json(session.resource)
        held = len(session.data)
        return Answer(status=308, headers={"Range": f"bytes=0-{held - 1}"} if held else {})

    def _cancel(self) -> Answer:
        self._content.cancel(self._query.get("upload_id", ""))
        return Answer(status=499)

    def _session(self) -> Session:
        return self._content.session(self._query.get("upload_id", ""))

    def _checksums(self) -> list[Checksum]:
        header = ",".join(self._headers.get_all("X-Goog-Hash", []))
        return re.findall(r"(crc32c|md5)=([^, ]+)", header)

    def _metadata(self) -> dict[str, Any]:
        """Returns the request's JSON about the object, for which the start of the body suffices."""
        text = self.body
        if self._query["uploadType"] == "media":
            return {}
        if self._query["uploadType"] == "multipart":
            parts = self._parts()
            text = parts[1].partition(b"\r\n\r\n")[2] if len(parts) > 2 else b""
        try:
            return json.loads(text or b"{}")
        except ValueError:
            raise Refused(400, "Parse Error", "parseError") from None

    def _parts(self) -> list[bytes]:
        """Returns the parts of a multipart body: nothing, the metadata, the data, and `--`."""
        head = email.message.Message()
        head["Content-Type"] = self._headers.get("Content-Type", "")
        boundary = head.get_boundary("")
        return (b"\r\n" + self.body).split(b"\r\n--" + boundary.encode())

    def _transferred(self, data: bytes) -> bytes:
        """Returns the data as it arrives at the other end."""
        if not (data and self.is_corrupt):
            return data
        middle = len(data) // 2
        return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def refusal(refused: Refused, headers: dict[str, str] | None = None) -> Answer:
    """Returns the answer to a refused request."""
    body = b"" if refused.status == 304 else refused.body
    return Answer(body, refused.status, _JSON | (headers or {}))


def _json(resource: dict[str, Any]) -> Answer:
    return Answer(json.dumps(resource).encode(), headers=_JSON)
