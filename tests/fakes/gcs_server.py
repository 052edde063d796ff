"""A Cloud Storage server for tests: the JSON API over HTTP, which fails on request.

    with GcsServer() as server:
        os.environ["STORAGE_EMULATOR_HOST"] = server.url  # read by google-cloud-storage
        fault = server.inject(Fault("503", "download", name=r"\\.npz$", times=2))
        ...
        assert fault.hits == 2

or, to try things by hand:

    python -m tests.fakes.gcs_server --port=9023 --bucket=bucket

A request that isn't implemented, or that has an unknown parameter, is answered with 501 and is
"unknown" in `log`. `gcs_calls` has the requests, `gcs_objects` the objects.
"""

import argparse
import contextlib
import dataclasses
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.fakes.gcs_calls import Answer, Call, refusal
from tests.fakes.gcs_faults import ERRORS, Fault
from tests.fakes.gcs_objects import Objects
from tests.fakes.gcs_rules import Refused

_REASONS = {308: "Resume Incomplete", 499: "Client Closed Request"}  # unknown to http.server
# A multipart upload begins with the object's metadata, which has at most 8 KiB.
_BODY_START = 64 << 10  # bytes


@dataclasses.dataclass(eq=False)
class Request:
    """A request in the log. `status` is None until it is answered, and for ever if it never is."""

    operation: str
    bucket: str
    name: str  # for a list, the prefix
    status: int | None = None


class GcsServer:
    """The service on a port of this machine, until the `with` block ends.

    `log` has the requests in the order of their arrival. `choose(operation, name)`, when set,
    returns the fault of a request that no injected one hits, or None; any thread may call it.
    `content.wrong_checksum` is the status of the answer to data with another checksum than given.
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
        # Closing the server takes up to this interval.
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
        """Returns the data of every object of the bucket, by name."""
        return self.content.snapshot(bucket)

    def put(self, bucket: str, name: str, data: bytes) -> None:
        """Creates or replaces an object, without a request."""
        self.content.insert(bucket, name, data)

    def remove(self, bucket: str, name: str) -> None:
        """Removes an object, without a request."""
        self.content.delete(bucket, name, {})

    def inject(self, fault: Fault) -> Fault:
        """Adds a fault. When several would hit a request, the one added first does."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Removes all faults, and releases the requests that hang."""
        with self._lock:
            self._faults.clear()
            for fault in self._hanging:
                fault.release()

    def fault_for(self, operation: str, name: str) -> Fault | None:
        """Returns the fault that hits a request which has just arrived."""
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
            if self.closing.is_set():  # `close` has already released the others
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
        # Only errors of this server get a traceback: clients may disconnect at any time.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def cut(self) -> None:
        for connection in self._connections.copy():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are sent in two parts
    server: _HttpServer

    def serve(self) -> None:
        """Serves one request, from its head to the end of its answer."""
        gcs = self.server.gcs
        length = int(self.headers.get("Content-Length") or 0)
        self._call = Call(gcs.content, gcs.url, self.command, self.path, self.headers)
        if self._call.is_named_in_body:
            self._receive(min(length, _BODY_START))
        self._request = Request(self._call.operation, self._call.bucket, self._call.name)
        gcs.log.append(self._request)
        self._fault = gcs.fault_for(self._request.operation, self._request.name)
        kinds = self._fault.kinds if self._fault else []
        if "reset" in kinds and self._request.operation != "download":
            self._receive(length // 2)
            self._call.keep_blocks()
            self._reset()
            return
        # The whole body in every case: a client that is still sending doesn't read an answer.
        self._receive(length)
        if "pause" in kinds:
            gcs.hang(self._fault)
        if error := next((kind for kind in kinds if kind in ERRORS), None):
            answer = refusal(Refused(int(error), *ERRORS[error]))
            if self._fault.body is not None:
                answer.body = self._fault.body
        else:
            self._call.is_corrupt = "corrupt" in kinds
            answer = self._call.execute()
        self._send(answer, kinds)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = serve  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Prints nothing: the log is for the tests."""

    def _receive(self, length: int) -> None:
        missing = length - len(self._call.body)
        if missing > 0:
            self._call.body += self.rfile.read(missing)
        if len(self._call.body) < length:
            raise ConnectionAbortedError("the client has disconnected")

    def _send(self, answer: Answer, kinds: list[str]) -> None:
        halfway = len(answer.body) // 2
        self.close_connection |= "Transfer-Encoding" in self.headers
        self.close_connection |= bool({"drop", "truncate", "reset"} & set(kinds))
        if "drop" in kinds or ("truncate" in kinds and not answer.body):
            return
        if "slow" in kinds and self._request.operation != "download":
            self._wait()
        self._request.status = answer.status
        self.send_response(answer.status, _REASONS.get(answer.status))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body[:halfway])
        if "slow" in kinds and self._request.operation == "download":
            self._wait()
        if "reset" in kinds:
            self._reset()
        elif "truncate" not in kinds:
            self.wfile.write(answer.body[halfway:])

    def _wait(self) -> None:
        if self.server.gcs.closing.wait(self._fault.seconds):
            raise ConnectionAbortedError

    def _reset(self) -> None:
        # A close that doesn't linger sends RST; the base class's shutdown would send FIN first.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())
        self.close_connection = True


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
