"""A Cloud Storage server for tests: the JSON API over HTTP, which can be told to fail.

    with GcsServer() as server:
        os.environ["STORAGE_EMULATOR_HOST"] = server.url  # what google-cloud-storage looks at
        fault = server.inject(Fault("503", "download", name=r"\\.npz$", times=2))
        ...
        assert fault.hits == 2

or, to try things by hand:

    python -m tests.fakes.gcs_server --port=9023 --bucket=bucket

What it doesn't implement, parameters included, is answered with 501 and is "unknown" in `log`.
"""

import argparse
import contextlib
import dataclasses
import email.message
import json
import os
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.fakes import gcs_objects
from tests.fakes.gcs_faults import ERRORS, Fault
from tests.fakes.gcs_objects import CHUNK_UNIT, Objects, Refused

_BUCKET = r"/storage/v1/b/(?P<bucket>[^/]+)"
_OBJECT = _BUCKET + r"/o/(?P<name>[^/]+)"
_UPLOAD = "/upload" + _BUCKET + "/o"
# Method, path and parameter -> operation. The first that fits counts.
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
_REASONS = {308: "Resume Incomplete", 499: "Client Closed Request"}  # unknown to http.server
_JSON = {"Content-Type": "application/json; charset=UTF-8"}
# An object's metadata, which a multipart upload begins with, has at most 8 KiB.
_BODY_START = 64 << 10


@dataclasses.dataclass(eq=False)
class Request:
    """A request in the log. `status` is None until it is answered, and if it never is."""

    operation: str
    bucket: str
    name: str  # for a list, the prefix
    status: int | None = None


class GcsServer:
    """The service on a port of this machine, for the time of a `with`.

    `log` has the requests in the order of their arrival. `choose(operation, name)`, when set,
    returns the fault of a request that no injected one hits, or None; any thread calls it.
    """

    def __init__(self, buckets: Iterable[str] = ("bucket",), page_size: int = 1000, port: int = 0):
        self._http = _HttpServer(("127.0.0.1", port), _Handler)
        self._http.gcs = self
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self.content = Objects(self.url, buckets, page_size)
        self.log: list[Request] = []
        self.choose: Callable[[str, str], Fault | None] | None = None
        self.closing = threading.Event()
        self._faults: list[Fault] = []
        self._hanging: set[Fault] = set()
        self._lock = threading.Lock()
        # The interval is how long closing the server takes.
        serve = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        serve.start()

    def __enter__(self) -> "GcsServer":
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def close(self) -> None:
        """Cuts all connections; requests that hang are never executed."""
        self.closing.set()
        self.clear()
        self._http.shutdown()
        self._http.server_close()
        self._http.cut()

    def objects(self, bucket: str) -> dict[str, bytes]:
        """Name -> data of every object of the bucket, now."""
        return self.content.snapshot(bucket)

    def put(self, bucket: str, name: str, data: bytes) -> None:
        """Creates or replaces an object, without a request."""
        self.content.insert(bucket, name, data)

    def remove(self, bucket: str, name: str) -> None:
        """Removes an object, without a request."""
        self.content.delete(bucket, name, {})

    def inject(self, fault: Fault) -> Fault:
        """Adds a fault. Of several that would hit a request, the first added one does."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Removes all faults, and lets go on what hangs at one."""
        with self._lock:
            self._faults.clear()
            for fault in self._hanging:
                fault.release()

    def fault_for(self, operation: str, name: str) -> Fault | None:
        """The fault that hits a request which has just arrived."""
        with self._lock:
            for fault in self._faults:
                if fault.strikes(operation, name):
                    return fault
        if self.choose and (fault := self.choose(operation, name)):
            with self._lock:
                fault.hits += 1
            return fault
        return None

    def hang(self, fault: Fault) -> None:
        """Holds a request at a fault; ConnectionAbortedError when the server is closed."""
        with self._lock:
            self._hanging.add(fault)
            if self.closing.is_set():  # `clear` of `close` has already released the others
                fault.release()
        fault.hang()
        if self.closing.is_set():
            raise ConnectionAbortedError


class _HttpServer(ThreadingHTTPServer):
    gcs: GcsServer
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *args):
        self._connections: set[socket.socket] = set()
        super().__init__(*args)

    def process_request(self, request, client_address) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request, client_address) -> None:
        # Only errors of this server are worth a traceback: clients may go whenever they like.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def cut(self) -> None:
        for connection in self._connections.copy():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@dataclasses.dataclass
class _Answer:
    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = dataclasses.field(default_factory=dict)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are sent one after the other
    server: _HttpServer

    def serve(self) -> None:
        """One request, from its head to the end of its answer."""
        gcs = self.server.gcs
        self._body = b""
        self._length = int(self.headers.get("Content-Length") or 0)
        self._chunked = "Transfer-Encoding" in self.headers
        self._request = self._route()
        gcs.log.append(self._request)
        self._fault = gcs.fault_for(self._request.operation, self._request.name)
        kind = self._fault.kind if self._fault else ""
        if kind == "reset" and self._request.operation != "download":
            self._receive(self._length // 2)
            self._keep_blocks()
            self._reset()
            return
        # To the end, whatever comes: a client that is still sending doesn't read an answer.
        self._receive(self._length)
        if kind == "pause":
            gcs.hang(self._fault)
        if kind in ERRORS:
            message, reason = ERRORS[kind]
            answer = _refusal(Refused(int(kind), message, reason))
        else:
            answer = self._execute()
        self._send(answer, kind)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = serve  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """The log is for the tests, not for the terminal."""

    def _route(self) -> Request:
        url = urlsplit(self.path)
        self._query = dict(parse_qsl(url.query, keep_blank_values=True))
        for method, path, parameter, operation in _ROUTES:
            match = re.fullmatch(path, url.path)
            if not match or method != self.command:
                continue
            if parameter and self._query.get(parameter[0]) != parameter[1]:
                continue
            if not self._query.keys() <= _PARAMETERS or self._chunked:
                break
            self._operation = getattr(self, f"_{operation}")
            parts = {key: unquote(value) for key, value in match.groupdict().items()}
            return Request(operation, parts["bucket"], parts.get("name") or self._name(operation))
        self._operation = self._unknown
        return Request("unknown", "", url.path)

    def _name(self, operation: str) -> str:
        """The object's name, where the path doesn't have it."""
        if operation == "list":
            return self._query.get("prefix", "")
        if operation in ("chunk", "cancel"):
            with contextlib.suppress(Refused):
                return self._session().name
        if operation in ("insert", "start") and "name" not in self._query:
            self._receive(min(self._length, _BODY_START))
            with contextlib.suppress(Refused):
                return self._metadata().get("name", "")
        return self._query.get("name", "")

    def _receive(self, length: int) -> None:
        missing = length - len(self._body)
        if missing > 0:
            self._body += self.rfile.read(missing)
        if len(self._body) < length:
            raise ConnectionAbortedError("the client is gone")

    def _execute(self) -> _Answer:
        try:
            return self._operation()
        except Refused as error:
            return _refusal(error)

    def _unknown(self) -> _Answer:
        raise gcs_objects.not_implemented(f"{self.command} {self.path}")

    def _bucket(self) -> _Answer:
        return _json(self._content.bucket(self._request.bucket))

    def _list(self) -> _Answer:
        return _json(self._content.list(self._request.bucket, self._query))

    def _get(self) -> _Answer:
        resource, _ = self._content.read(self._request.bucket, self._request.name, self._query)
        return _json(resource)

    def _delete(self) -> _Answer:
        self._content.delete(self._request.bucket, self._request.name, self._query)
        return _Answer(status=204)

    def _download(self) -> _Answer:
        resource, data = self._content.read(self._request.bucket, self._request.name, self._query)
        headers = {
            "Content-Type": resource["contentType"],
            "ETag": resource["etag"],
            "X-Goog-Generation": resource["generation"],
            "X-Goog-Metageneration": resource["metageneration"],
            "X-Goog-Hash": f"crc32c={resource['crc32c']},md5={resource['md5Hash']}",
            "X-Goog-Stored-Content-Length": resource["size"],
            "X-Goog-Stored-Content-Encoding": "identity",
        }
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", "").strip())
        if not wanted or not any(wanted.groups()):
            return _Answer(self._wired(data), 200, headers)
        first, last = wanted.groups()
        start = int(first) if first else max(len(data) - int(last), 0)
        stop = min(int(last) + 1, len(data)) if first and last else len(data)
        if start >= stop:
            refused = Refused(416, "The requested range cannot be satisfied.", "requestedRange")
            return _refusal(refused, {"Content-Range": f"bytes */{len(data)}"})
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        return _Answer(self._wired(data[start:stop]), 206, headers)

    def _insert(self) -> _Answer:
        metadata, data = {}, self._body
        if self._query["uploadType"] == "multipart":
            metadata, parts = self._metadata(), self._parts()
            if len(parts) != 4 or not parts[3].startswith(b"--"):
                raise Refused(400, "Malformed multipart body.", "badContent")
            head, _, data = parts[2].partition(b"\r\n\r\n")
            content_type = re.search(rb"(?i)content-type: *([^\r]+)", head)
            content_type = content_type and content_type[1].decode()
        else:
            content_type = self.headers.get("Content-Type")
        if content_type:
            metadata = {"contentType": content_type} | metadata
        resource = self._content.insert(
            self._request.bucket,
            self._request.name,
            self._wired(data),
            metadata,
            self._checksums(),
            self._query,
        )
        return _json(resource)

    def _start(self) -> _Answer:
        metadata = self._metadata()
        if content_type := self.headers.get("X-Upload-Content-Type"):
            metadata = {"contentType": content_type} | metadata
        size = self.headers.get("X-Upload-Content-Length")
        bucket, name = self._request.bucket, self._request.name
        upload_id = self._content.start(
            bucket, name, metadata, self._checksums(), self._query, int(size) if size else None
        )
        link = f"{self.server.gcs.url}{self.path}&upload_id={upload_id}"
        return _Answer(headers={"Location": link, "X-GUploader-UploadID": upload_id})

    def _chunk(self) -> _Answer:
        data = self._body
        # Without the header, it is all in one request.
        whole = f"bytes 0-{len(data) - 1}/{len(data)}" if data else "bytes */0"
        content_range = self.headers.get("Content-Range", whole)
        session = self._content.receive(
            self._query.get("upload_id", ""), content_range, self._wired(data), self._checksums()
        )
        if session.resource:
            return _json(session.resource)
        held = len(session.data)
        return _Answer(status=308, headers={"Range": f"bytes=0-{held - 1}"} if held else {})

    def _cancel(self) -> _Answer:
        self._content.cancel(self._query.get("upload_id", ""))
        return _Answer(status=499)

    @property
    def _content(self) -> Objects:
        return self.server.gcs.content

    def _session(self) -> gcs_objects.Session:
        return self._content.session(self._query.get("upload_id", ""))

    def _checksums(self) -> list[gcs_objects.Checksum]:
        header = ",".join(self.headers.get_all("X-Goog-Hash", []))
        return re.findall(r"(crc32c|md5)=([^, ]+)", header)

    def _metadata(self) -> dict[str, Any]:
        """What the request's JSON says of the object, even if only that part has arrived."""
        text = self._body
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
        """Nothing, the metadata, the data, and `--`, when it is as it should be."""
        head = email.message.Message()
        head["Content-Type"] = self.headers.get("Content-Type", "")
        boundary = head.get_boundary("")
        return (b"\r\n" + self._body).split(b"\r\n--" + boundary.encode())

    def _wired(self, data: bytes) -> bytes:
        """The data as it comes out of the wire, which may be a bad one."""
        if not (data and self._fault and self._fault.kind == "corrupt"):
            return data
        middle = len(data) // 2
        return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]

    def _keep_blocks(self) -> None:
        """Of a chunk that breaks off, stores the blocks that are whole."""
        first = re.match(r"bytes (\d+)-", self.headers.get("Content-Range", ""))
        if self._request.operation == "chunk" and first:
            whole = len(self._body) // CHUNK_UNIT * CHUNK_UNIT
            with contextlib.suppress(Refused):
                if not self._session().resource:
                    upload_id = self._query["upload_id"]
                    self._content.append(upload_id, int(first[1]), self._body[:whole])

    def _send(self, answer: _Answer, kind: str) -> None:
        halfway = len(answer.body) // 2
        self.close_connection |= self._chunked or kind in ("drop", "truncate", "reset")
        if kind == "drop" or (kind == "truncate" and not answer.body):
            return
        if kind == "slow" and self._request.operation != "download":
            self._wait()
        self._request.status = answer.status
        self.send_response(answer.status, _REASONS.get(answer.status))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body[:halfway])
        if kind == "slow" and self._request.operation == "download":
            self._wait()
        if kind == "reset":
            self._reset()
        elif kind != "truncate":
            self.wfile.write(answer.body[halfway:])

    def _wait(self) -> None:
        if self.server.gcs.closing.wait(self._fault.seconds):
            raise ConnectionAbortedError

    def _reset(self) -> None:
        # A close that doesn't linger sends RST; the base class's shutdown would send FIN first.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())
        self.close_connection = True


def _json(resource: dict[str, Any]) -> _Answer:
    return _Answer(json.dumps(resource).encode(), headers=_JSON)


def _refusal(refused: Refused, headers: dict[str, str] | None = None) -> _Answer:
    body = b"" if refused.status == 304 else refused.body
    return _Answer(body, refused.status, _JSON | (headers or {}))


def _main() -> None:
    parser = argparse.ArgumentParser(description="Serves Cloud Storage from memory.")
    parser.add_argument("--port", type=int, default=9023)
    parser.add_argument("--bucket", action="append", help="may be repeated; by default 'bucket'")
    flags = parser.parse_args()
    with GcsServer(flags.bucket or ("bucket",), port=flags.port) as server:
        print(f"export STORAGE_EMULATOR_HOST={server.url}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(3600)


if __name__ == "__main__":
    _main()
