"""Servers for the tests, each in a thread on a free port, and raw HTTP to talk to them.

with running(ServedModel(7, ("short", "long"), by_length, None), max_texts=3) as server:
    httpx.get(server.url)
"""

import contextlib
import json
import socket
import threading
from typing import NamedTuple

import httpx
import numpy as np

from configs import default
from trainer.machines.preemption import StopRequests
from trainer.serving.application import application
from trainer.serving.metrics import Metrics
from trainer.serving.served_model import ServedModel
from trainer.serving.server import Server, bound_socket, listen

LABELS = ("short", "long")
SECONDS = 20  # after which a test that waits has failed


def by_length(texts):
    """Returns probabilities <float32>[texts, 2] that depend on the lengths of texts."""
    long = np.array([len(text) / (len(text) + 10) for text in texts], np.float32)
    return np.stack([1 - long, long], axis=1)


BY_LENGTH = ServedModel(7, LABELS, by_length, None)


class Running(NamedTuple):
    url: str
    client: httpx.Client

    def post(self, content, path="/v1/models/longhaul:predict", **options):
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.client.post(path, content=content, **options)

    def get(self, path, **options):
        return self.client.get(path, **options)

    def connect(self):
        host, port = self.url.removeprefix("http://").split(":")
        return socket.create_connection((host, int(port)), timeout=SECONDS)

    def exchange(self, data, half_close=False):
        """Sends bytes; returns what the server sends until it closes the connection."""
        with self.connect() as connection:
            connection.sendall(data)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            return rest(connection)


@contextlib.contextmanager
def running(model=BY_LENGTH, hosts=(), **limits):
    config = default.get_config().serving
    config.update(limits)
    metrics = Metrics()
    app = application(model, "longhaul", config, metrics, hosts)
    server = Server(app, config, metrics, StopRequests())
    with bound_socket("127.0.0.1", 0) as listener:
        url = listen(listener, "127.0.0.1")
        started = threading.Event()
        thread = threading.Thread(target=server.serve_on, args=(listener, started.set))
        thread.start()
        assert started.wait(SECONDS)
        try:
            # Reading the machine's certificates takes longer than many tests.
            with httpx.Client(base_url=url, timeout=SECONDS, verify=False) as client:  # noqa: S501
                yield Running(url, client)
        finally:
            server.should_exit = True
            thread.join()


class Held:
    """A prediction that waits to be released."""

    def __init__(self):
        self.began, self.released, self.batches = threading.Semaphore(0), threading.Event(), []

    def __call__(self, texts):
        self.batches.append(list(texts))
        self.began.release()
        assert self.released.wait(SECONDS)
        return by_length(texts)

    def wait_for_batch(self):
        assert self.began.acquire(timeout=SECONDS)


def rest(connection):
    """Returns what arrives on a socket until the other side closes it."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            received += part
    return received


def request(body, *headers, method="POST", path="/v1/models/longhaul:predict"):
    """Returns the bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    if body is not None and not any(line.startswith("Transfer-Encoding") for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")
