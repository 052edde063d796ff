"""Connections of clients that are slow, stop half-way or send what is no HTTP, by raw sockets."""

import contextlib
import json

import pytest

from tests.trainer.serving.servers import BY_LENGTH, Held, request, rest, running

WHOLE = request(b'{"instances": ["a"]}')
CUT_OFF = r"reset|Broken pipe"
PREDICT = "POST /v1/models/longhaul:predict HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def server():
    with running() as server:
        yield server


@pytest.fixture(scope="module")
def hasty():
    """A server that waits for a third of a second only."""
    with running(timeout_seconds=0.3) as server:
        yield server


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x00\x01\x02\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # without a Host
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n", 400),
        (PREDICT.encode() + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400),
        (PREDICT.encode() + b"Content-Length: -1\r\n\r\n", 400),
        (PREDICT.encode() + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
        (PREDICT.encode() + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (PREDICT.encode() + b"Transfer-Encoding: gzip\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 1_000_000, 431),
        (b"x" * 1_000_000, 431),
    ],
)
def test_what_is_no_http_is_refused_and_the_connection_closed(server, sent, status):
    answer = server.exchange(sent)
    # The answer may be lost where the server has not read all that was sent.
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()) or (len(sent) > 65536 and not answer)
    assert answer.count(b"content-length: ") <= 1
    assert server.get("/healthz").status_code == 200


def test_refusal_is_json_with_the_security_headers(server):
    head, _, body = server.exchange(b"nonsense\r\n\r\n").partition(b"\r\n\r\n")
    assert b"\r\nx-content-type-options: nosniff" in head
    assert b"\r\nconnection: close" in head
    assert body.startswith(b'{"error": "malformed HTTP request: ')


def test_pipelined_requests_are_answered_in_turn(server):
    last = request(b'{"instances": ["a"]}', "Connection: close")
    assert server.exchange(WHOLE * 50 + last).count(b"HTTP/1.1 200 ") == 51


def test_nonsense_after_a_request_does_not_lose_its_answer(server):
    answer = server.exchange(WHOLE + b"nonsense\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1 400 ") == 1


@pytest.mark.parametrize("sent", [WHOLE[:-1], WHOLE[:30], b""])
def test_client_that_closes_its_side_has_left(server, sent):
    assert server.exchange(sent, half_close=True) == b""


def test_upgrade_to_websocket_is_ignored(server):
    headers = ("Connection: Upgrade, close", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    answer = server.exchange(request(None, *headers, method="GET", path="/healthz"))
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_headers_that_take_too_long_are_given_up(hasty):
    answer = hasty.exchange(WHOLE[:30])
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"no complete headers within 0.3 seconds"' in answer


def test_headers_that_come_in_drops_are_given_up(hasty):
    with hasty.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        connection.settimeout(0.02)
        while True:
            try:
                connection.sendall(b"X: x\r\n")
                answer = connection.recv(65536)
                break
            except TimeoutError:  # no answer yet; sends the next drop
                continue
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_silent_connection_is_closed_without_an_answer(hasty):
    assert hasty.exchange(b"") == b""


def test_connection_between_two_requests_is_closed_after_a_while(hasty):
    assert hasty.exchange(WHOLE).count(b"HTTP/1.1 ") == 1


def test_client_that_goes_on_sending_after_its_refusal_is_cut_off(hasty):
    endless = request(None, f"Content-Length: {10**12}")
    with hasty.connect() as connection:
        connection.sendall(endless)
        with pytest.raises(OSError, match=CUT_OFF):
            while True:
                connection.sendall(b" " * 65536)


def test_client_that_does_not_read_is_cut_off(hasty):
    large = request(json.dumps({"instances": ["a"] * 256}).encode())
    with hasty.connect() as connection, pytest.raises(OSError, match=CUT_OFF):
        while True:
            connection.sendall(large)
    assert hasty.get("/healthz").status_code == 200


def test_stop_closes_connections_in_every_state():
    begun = (b"", WHOLE[:30], WHOLE[:-1], WHOLE, request(None, "Content-Length: 9999999"))
    with contextlib.ExitStack() as stack:
        with running(timeout_seconds=1.0) as server:
            connections = [stack.enter_context(server.connect()) for _ in begun]
            for connection, sent in zip(connections, begun, strict=True):
                connection.sendall(sent)
            for connection in connections[-2:]:
                assert connection.recv(65536)
        answers = [rest(connection) for connection in connections]
    assert answers[:2] == [b"", b""]
    assert answers[2].startswith(b"HTTP/1.1 408 ")


def test_connections_above_the_limit_are_refused():
    held = Held()
    with (
        running(BY_LENGTH._replace(predict=held), max_requests=1) as server,
        server.connect() as first,
        server.connect() as second,
    ):
        first.sendall(WHOLE)
        held.wait_for_batch()
        second.sendall(request(None, method="GET", path="/healthz"))
        assert second.recv(65536).startswith(b"HTTP/1.1 200 ")
        refusal = server.exchange(b"")
        assert refusal.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 1\r\n" in refusal
        held.released.set()
        assert first.recv(65536).startswith(b"HTTP/1.1 200 ")
