"""The kinds of malformed and hostile requests that `benchmarks.hostile_requests` sends.

for kind in KINDS:
    kind.name, kind.weight, kind.accepted
    status = await kind.send(port, random.Random(0))    # 0: closed without an answer

A client here reads while it writes, so that it sees the answer to a body that is still being sent.
"""

import asyncio
import contextlib
import json
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

PATH = "/v1/models/longhaul:predict"
VALID = json.dumps({"instances": ["a dull film", "the film was fine"]}).encode()
_SECONDS = 60.0  # after which a server counts as stuck
STUCK = -1
_PIPELINED = 20
_LARGE = 100_000_000  # bytes
_PART = bytes(2**20)
_Send = Callable[[int, random.Random], Awaitable[int]]


class Kind(NamedTuple):
    """A kind of request, and the status codes that are right answers to it."""

    name: str
    weight: int  # how often it is sent
    accepted: frozenset[int]
    send: _Send


def head(length: int | None, *headers: str, method: str = "POST", path: str = PATH) -> bytes:
    """Returns the head of a request with a body of that length; None leaves it out."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers]
    lines += [] if length is None else [f"Content-Length: {length}"]
    return "\r\n".join([*lines, "", ""]).encode()


async def exchange(port: int, parts: Sequence[bytes], close: str = "") -> tuple[int, int]:
    """Sends parts; returns the status of the first answer, and the number of answers.

    `close` says what the client does then: 'half' closes its side, 'all' the connection.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = bytearray()
    reading = asyncio.create_task(_read(reader, received))
    with contextlib.suppress(ConnectionError):
        for part in parts:
            writer.write(part)
            await writer.drain()
        if close == "half":
            writer.write_eof()
    if close != "all":
        try:
            await asyncio.wait_for(reading, _SECONDS)
        except asyncio.TimeoutError:
            return STUCK, 0
    reading.cancel()
    writer.transport.abort()
    answers = received.count(b"content-length: ")
    return (int(received[9:12]) if received else 0), answers


async def _read(reader: asyncio.StreamReader, received: bytearray) -> None:
    with contextlib.suppress(ConnectionError):
        while part := await reader.read(65536):
            received += part


def _posts(
    name: str, weight: int, accepted: set[int], body: Callable[..., bytes], *headers: str
) -> Kind:
    """Returns a kind that posts what `body` makes of a random number generator."""

    async def send(port: int, generator: random.Random) -> int:
        content = body(generator)
        parts = [head(len(content), "Connection: close", *headers), content]
        return (await exchange(port, parts))[0]

    return Kind(name, weight, frozenset(accepted), send)


def _sends(
    name: str, weight: int, accepted: set[int], raw: Callable[..., bytes], close: str = ""
) -> Kind:
    """Returns a kind that sends what `raw` makes of a random number generator."""

    async def send(port: int, generator: random.Random) -> int:
        return (await exchange(port, [raw(generator)], close))[0]

    return Kind(name, weight, frozenset(accepted), send)


def _one_of(*values: Any) -> Callable[[random.Random], bytes]:
    """Returns a function that chooses one of the values, JSON of those that are no bytes."""
    encoded = [
        value if isinstance(value, bytes) else json.dumps(value).encode() for value in values
    ]
    return lambda generator: generator.choice(encoded)


def _changed(generator: random.Random) -> bytes:
    """Returns a valid body with some of its bytes replaced."""
    body = bytearray(VALID)
    for _ in range(generator.randint(1, 4)):
        body[generator.randrange(len(body))] = generator.randrange(256)
    return bytes(body)


def _cut(generator: random.Random) -> bytes:
    return VALID[: generator.randrange(len(VALID))]


def _texts(*texts: Any) -> dict[str, list[Any]]:
    return {"instances": list(texts)}


async def _large(port: int, generator: random.Random) -> int:
    parts = [head(_LARGE, "Connection: close"), *[_PART] * (_LARGE // len(_PART))]
    return (await exchange(port, parts))[0]


async def _large_chunks(port: int, generator: random.Random) -> int:
    chunk = b"10000\r\n" + bytes(2**16) + b"\r\n"
    parts = [head(None, "Transfer-Encoding: chunked"), *[chunk] * 200, b"0\r\n\r\n"]
    return (await exchange(port, parts))[0]


async def _pipelined(port: int, generator: random.Random) -> int:
    request, last = head(len(VALID)) + VALID, head(len(VALID), "Connection: close") + VALID
    status, answers = await exchange(port, [request * (_PIPELINED - 1) + last])
    return status if answers == _PIPELINED else STUCK


_HTTP = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"
_WHOLE = head(len(VALID)) + VALID
KINDS = (
    _posts("valid", 10, {200}, _one_of(VALID, _texts("", "a\0b", {"b64": "YQ=="}))),
    _posts("no JSON", 10, {400}, _one_of(b"", b"{", b"nonsense", b"'a'", b'{"instances": [NaN]}')),
    _posts("cut JSON", 10, {400}, _cut),
    _posts("changed JSON", 15, {200, 400}, _changed),
    _posts(
        "wrong types", 15, {400},
        _one_of([], None, 1, "a", {}, _texts(), _texts(1), _texts(None), _texts(["a"]),
                {"inputs": {}}, {"instances": {}}, {"instances": "a"}, _texts({"text": 1}),
                _texts({"b64": "?"})),
    ),
    _posts(
        "invalid UTF-8", 8, {400},
        _one_of(b'{"instances": ["\xff"]}', b'{"instances": ["\xed\xa0\x80"]}'),
    ),
    _posts(
        "surrogates", 5, {400},
        _one_of(b'{"instances": ["\\ud800"]}', b'{"instances": ["\\udfff a"]}'),
    ),
    _posts("deep JSON", 5, {400}, _one_of(b"[" * 900_000, b'{"a":' * 150_000)),
    _posts("huge numbers", 3, {400}, _one_of(b'{"instances": [' + b"9" * 900_000 + b"]}")),
    _posts("300,000 objects", 2, {413}, _one_of(b'{"instances": [' + b"{}," * 300_000 + b"{}]}")),
    _posts("duplicate keys", 3, {400}, _one_of(b'{"instances": ["a"], "instances": ["b"]}')),
    _posts("too many texts", 3, {413}, _one_of(_texts(*["a"] * 257))),
    _posts("too long a text", 3, {413}, _one_of(_texts("a" * 100_001))),
    _posts("2 MB", 3, {413}, lambda generator: bytes(2_000_000)),
    _posts("compressed", 2, {415}, _one_of(VALID), "Content-Encoding: gzip"),
    _sends(
        "bad review for the page", 3, {400},
        _one_of(*(head(len(body), "Connection: close", path="/explain") + body
                  for body in (b"", b"{}", b'{"text": 1}', b'{"text": "\\ud800"}'))),
    ),
    Kind("13 MB in chunks", 1, frozenset({413}), _large_chunks),
    Kind("100 MB", 1, frozenset({413}), _large),
    Kind("pipelined", 2, frozenset({200}), _pipelined),
    _sends("random bytes", 10, {0, 400}, lambda generator: generator.randbytes(200) + b"\r\n\r\n"),
    _sends(
        "bad headers", 10, {400},
        _one_of(_HTTP + b"Host: b\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", _HTTP + b"no colon\r\n\r\n",
                _HTTP + b"X: \x00\r\n\r\n", _HTTP + b"Content-Length: -1\r\n\r\n",
                _HTTP + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
                b"GET / HTTP/1.12\r\nHost: 127.0.0.1\r\n\r\n", b"GET  / HTTP/1.1\r\n\r\n"),
    ),
    _sends(
        "foreign host", 5, {400},
        _one_of(b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"),
    ),
    _sends("huge headers", 3, {431}, lambda generator: _HTTP + b"X: " + b"x" * 2_000_000),
    _sends("unknown transfer coding", 2, {501}, _one_of(head(None, "Transfer-Encoding: gzip"))),
    _sends(
        "unknown path", 5, {404},
        _one_of(head(0, "Connection: close", path="/v1/models/other:predict"),
                head(0, "Connection: close", path="/../../etc/passwd"),
                head(0, "Connection: close", path="/static/%2e%2e/%2e%2e/main.py", method="GET")),
    ),
    _sends(
        "wrong method", 5, {405},
        _one_of(*(head(0, "Connection: close", method=method) for method in ("GET", "PUT", "X"))),
    ),
    _sends("slow headers", 1, {408}, _one_of(_WHOLE[:40])),
    _sends("slow body", 1, {408}, _one_of(_WHOLE[:-1])),
    _sends(
        "half-closed in headers", 3, {0},
        lambda generator: _WHOLE[: generator.randrange(1, 60)], "half",
    ),
    _sends("half-closed in the body", 3, {0}, _one_of(_WHOLE[:-1]), "half"),
    _sends("leaves before the answer", 5, {0}, _one_of(_WHOLE), "all"),
)  # fmt: skip
