"""The server's routes, asked by HTTP clients."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.trainer.serving.servers import (
    BY_LENGTH,
    LABELS,
    SECONDS,
    Held,
    by_length,
    request,
    rest,
    running,
)
from trainer.serving.server import allowed_hosts

PREDICT = "/v1/models/longhaul:predict"


@pytest.fixture(scope="module")
def server():
    """A server with small limits, which the tests of this module share."""
    with running(max_texts=4, max_text_bytes=50, max_body_bytes=2000) as server:
        yield server


@pytest.mark.parametrize("path", [PREDICT, "/v1/models/longhaul/versions/7:predict"])
def test_predictions_come_in_the_order_of_the_texts(server, path):
    answer = server.post({"instances": ["a" * 30, "b"]}, path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    predictions = answer.json()["predictions"]
    assert [row["label"] for row in predictions] == ["long", "short"]
    expected = by_length([b"a" * 30, b"b"]).tolist()
    assert [row["probabilities"] for row in predictions] == expected


def test_columns_are_answered_with_columns(server):
    assert server.post({"inputs": ["a" * 30]}).json()["outputs"]["labels"] == [list(LABELS)]


def test_any_content_type_will_do_as_in_tensorflow_serving(server):
    kind = {"content-type": "application/x-www-form-urlencoded"}
    assert server.post({"instances": ["a"]}, headers=kind).status_code == 200


@pytest.mark.parametrize("path", ["/v1/models/longhaul", "/v1/models/longhaul/versions/7"])
def test_status_says_that_the_version_is_available(server, path):
    [version] = server.get(path).json()["model_version_status"]
    assert (version["version"], version["state"]) == ("7", "AVAILABLE")
    assert version["status"] == {"error_code": "OK", "error_message": ""}


@pytest.mark.parametrize("path", ["/v1/models/longhaul", "/v1/models/longhaul/versions/7"])
def test_metadata_names_inputs_and_outputs(server, path):
    answer = server.get(f"{path}/metadata").json()
    assert answer["model_spec"] == {"name": "longhaul", "signature_name": "", "version": "7"}
    signature = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["text"]["dtype"] == "DT_STRING"
    rows = server.post({"instances": ["a"]}).json()["predictions"]
    assert signature["outputs"].keys() == rows[0].keys()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/models/other", 404),
        ("POST", "/v1/models/other:predict", 404),
        ("POST", "/v1/models/longhaul/versions/8:predict", 404),
        ("POST", "/v1/models/longhaul/labels/stable:predict", 404),
        ("POST", "/v1/models/longhaul:classify", 404),
        ("GET", "/v1/models/longhaul/", 404),
        ("GET", "/static/../application.py", 404),
        ("GET", "/static/%2e%2e/application.py", 404),
        ("GET", "/static/", 404),
        ("GET", "/%00", 404),
        ("GET", PREDICT, 405),
        ("DELETE", PREDICT, 405),
        ("POST", "/v1/models/longhaul", 405),
        ("POST", "/healthz", 405),
        ("GET", "/explain", 405),
    ],
)
def test_wrong_path_or_method_is_refused(server, method, path, status):
    answer = server.exchange(request(b"", "Connection: close", method=method, path=path))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert json.loads(body).keys() == {"error"}
    assert (b"\r\nallow: " in head) == (status == 405)


def test_unknown_path_is_told_whatever_the_host_is(server):
    answer = server.get("/nowhere", headers={"host": "["})
    assert answer.status_code == 404
    assert answer.json()["error"].startswith("nothing is at '/nowhere'; ")


def test_unknown_model_is_told_what_is_served(server):
    reason = server.get("/v1/models/other").json()["error"]
    assert reason.endswith("served is /v1/models/longhaul, version 7")


@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [
        (b"{", 400, "not JSON"),
        ({"instances": ["a", 1]}, 400, "text 1: accepted is a string"),
        ({"instances": ["a"] * 5}, 413, "5 texts; at most 4"),
        ({"instances": ["a" * 51]}, 413, "text 0: 51 bytes; at most 50"),
        (b" " * 2001, 413, "the body: at most 2,000 bytes"),
    ],
)
def test_wrong_content_is_refused_and_the_connection_kept(server, content, status, reason):
    answer = server.post(content)
    assert answer.status_code == status
    assert reason in answer.json()["error"]
    assert "connection" not in answer.headers


def test_large_body_without_a_length_is_refused(server):
    parts = b"".join(b"400\r\n" + b" " * 0x400 + b"\r\n" for _ in range(3)) + b"0\r\n\r\n"
    sent = request(parts, "Transfer-Encoding: chunked") + request(None, "Connection: close")
    assert server.exchange(sent).startswith(b"HTTP/1.1 413 ")


def test_large_body_is_refused_before_it_is_sent(server):
    with server.connect() as connection:
        connection.sendall(request(None, "Content-Length: 2001", "Expect: 100-continue"))
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_compressed_body_is_refused(server):
    answer = server.post(b"", headers={"content-encoding": "gzip"})
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "identity")


def test_every_answer_has_the_security_headers(server):
    for path in ("/", "/static/page.js", "/nowhere", "/metrics"):
        headers = server.get(path).headers
        assert "default-src 'none'; script-src 'self';" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers


def test_health_is_told(server):
    assert server.get("/healthz").status_code == server.get("/readyz").status_code == 200


def test_metrics_count_requests_texts_and_batches():
    with running() as server:
        server.post({"instances": ["a", "b"]})
        server.post(b"{")
        server.get("/nowhere")
        server.exchange(b"nonsense\r\n\r\n")
        lines = server.get("/metrics").text.splitlines()
    assert 'longhaul_requests_total{route="predict",status="200"} 1.0' in lines
    assert 'longhaul_requests_total{route="predict",status="400"} 1.0' in lines
    assert 'longhaul_requests_total{route="other",status="404"} 1.0' in lines
    assert 'longhaul_requests_total{route="unparsed",status="400"} 1.0' in lines
    assert 'longhaul_request_seconds_count{route="predict"} 2.0' in lines
    assert "longhaul_texts_total 2.0" in lines
    assert "longhaul_batch_texts_sum 2.0" in lines
    assert "longhaul_waiting_texts 0.0" in lines
    assert any(line.startswith("process_resident_memory_bytes") for line in lines)


def test_only_names_of_this_machine_are_accepted_on_loopback():
    with running(hosts=allowed_hosts("127.0.0.1")) as server:
        for host in ("localhost", "localhost:80", "127.0.0.1:8501", "[::1]:8501", "LOCALHOST"):
            assert server.get("/", headers={"host": host}).status_code == 200
        for host in (
            "evil.example",
            "localhost.evil.example",
            "",
            "127.0.0.1.evil.example:80",
            "[::1",
        ):
            answer = server.get("/", headers={"host": host})
            assert answer.status_code == 400
            assert answer.json()["error"].startswith("host: got ")


def test_requests_above_the_limit_are_refused_and_health_is_not():
    held = Held()
    with running(BY_LENGTH._replace(predict=held), max_requests=2) as server:
        with ThreadPoolExecutor(2) as clients:
            answers = [clients.submit(server.post, {"instances": ["a" * n]}) for n in (1, 30)]
            held.wait_for_batch()
            while (refused := server.post(b"{")).status_code == 400:  # the second isn't there yet
                pass
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert server.get("/healthz").status_code == 200
            held.released.set()
            labels = [answer.result().json()["predictions"][0]["label"] for answer in answers]
        assert labels == ["short", "long"]
        assert server.post({"instances": ["a"]}).status_code == 200


def test_predictions_do_not_wait_for_an_explanation():
    held = Held()
    with (
        running(BY_LENGTH._replace(explain=lambda text: held([text]))) as server,
        ThreadPoolExecutor(1) as client,
    ):
        explained = client.submit(server.post, {"text": "a"}, "/explain")
        held.wait_for_batch()
        assert server.post({"instances": ["a"]}).status_code == 200
        assert not explained.done()
        held.released.set()
        assert explained.result().status_code == 500  # what it returns is no explanation


def test_answer_that_takes_too_long_is_given_up():
    held = Held()
    with running(BY_LENGTH._replace(predict=held), timeout_seconds=0.2) as server:
        answer = server.post({"instances": ["a"]})
        assert (answer.status_code, answer.headers["retry-after"]) == (504, "1")
        assert answer.json() == {"error": "no answer within 0.2 seconds"}
        held.released.set()
        while (answer := server.post({"instances": ["a"]})).status_code == 504:  # a slow machine
            pass
        assert answer.status_code == 200


def test_body_that_takes_too_long_is_given_up():
    with running(timeout_seconds=0.2) as server, server.connect() as connection:
        connection.sendall(request(b'{"instances": ["a"]}')[:-1])
        answer = rest(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert answer.endswith(b'{"error":"the body: not complete within 0.2 seconds"}')


def test_texts_of_a_client_that_left_are_not_predicted():
    held = Held()
    with (
        running(BY_LENGTH._replace(predict=held)) as server,
        server.connect() as first,
        server.connect() as second,
        server.connect() as third,
    ):
        first.sendall(request(b'{"instances": ["first"]}'))
        held.wait_for_batch()
        second.sendall(request(b'{"instances": ["second"]}'))
        while "waiting_texts 1.0" not in server.get("/metrics").text:
            pass
        second.close()
        while 'status="499"' not in server.get("/metrics").text:
            pass
        third.sendall(request(b'{"instances": ["third"]}', "Connection: close"))
        while "waiting_texts 2.0" not in server.get("/metrics").text:
            pass
        held.released.set()
        assert rest(third).startswith(b"HTTP/1.1 200 ")
    assert held.batches == [[b"first"], [b"third"]]


def test_fault_of_the_server_is_told_without_its_details(caplog):
    def fail(texts):
        raise ZeroDivisionError("secret")

    with running(BY_LENGTH._replace(predict=fail)) as server:
        answer = server.post({"instances": ["a"]})
        assert (answer.status_code, answer.headers["x-content-type-options"]) == (500, "nosniff")
        assert answer.json() == {"error": "the server has a fault, which its log tells"}
        assert server.get("/healthz").status_code == 200
    assert "ZeroDivisionError: secret" in caplog.text


def test_concurrent_clients_get_what_each_would_get_alone(server):
    texts = ["x" * (number % 50) for number in range(200)]
    barrier = threading.Barrier(8)

    def ask(number):
        if number < 8:
            barrier.wait(SECONDS)
        return server.post({"instances": [texts[number]]}).json()["predictions"][0]

    with ThreadPoolExecutor(8) as clients:
        rows = list(clients.map(ask, range(len(texts))))
    expected = by_length([text.encode() for text in texts]).tolist()
    assert [row["probabilities"] for row in rows] == expected
