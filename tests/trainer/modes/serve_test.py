"""Mode `serve`: a process that answers over HTTP until it is asked to stop."""

import contextlib
import importlib.util
import json
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from configs.schema.stored import stored_config
from storage.errors import UserError
from storage.store import open_store
from tests.trainer.modes.runs import call
from trainer.modes import serve
from trainer.modes.export import export

SECONDS = 60  # after which a test that waits has failed
BODY = b'{"instances": ["A dull film."]}'


@contextlib.contextmanager
def serving(workdir, *flags):
    """Starts the command; yields the process, and its URL once it accepts requests."""
    command = [sys.executable, "-m", "trainer", "--mode=serve", f"--workdir={workdir}", "--port=0"]
    process = subprocess.Popen(
        [*command, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        line = process.stdout.readline()
        assert line.startswith(f"Serving {workdir}, step "), process.communicate(timeout=SECONDS)
        yield process, line.split()[-1]
    finally:
        process.kill()
        process.communicate()


def begun_request(url):
    """Sends a request without its body; returns once the server waits for that."""
    host, port = url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=SECONDS)
    head = f"POST /v1/models/longhaul:predict HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
    head += f"Content-Length: {len(BODY)}\r\nExpect: 100-continue\r\n\r\n"
    connection.sendall(head.encode())
    assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
    return connection


def wait_until_closed(url):
    """Returns once no new connection is accepted."""
    host, port = url.removeprefix("http://").split(":")
    with contextlib.suppress(ConnectionRefusedError):
        while True:
            socket.create_connection((host, int(port)), timeout=SECONDS).close()


def test_asked_to_stop_it_finishes_the_request_in_progress(finished):
    with serving(finished) as (process, url):
        with begun_request(url) as connection:
            process.terminate()
            wait_until_closed(url)
            assert process.poll() is None
            connection.sendall(BODY)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["predictions"][0]["label"]
        assert process.wait(SECONDS) == 0
        assert process.stderr.read() == ""


def test_export_is_served_until_ctrl_c(workdir):
    store, folder = open_store(str(workdir)), workdir / "export"
    export(stored_config(store), store, "60", open_store(str(folder)))
    everyone = "0.0.0.0"  # noqa: S104
    with serving(folder, "--name=imdb", f"--host={everyone}") as (process, url):
        with urllib.request.urlopen(f"{url}/v1/models/imdb/versions/60") as answer:  # noqa: S310
            assert json.load(answer)["model_version_status"][0]["state"] == "AVAILABLE"
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0
        assert process.stderr.read() == "WARNING: anyone who reaches this address can use it\n"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": ""}, "--name: got '', accepted are up to 100 letters, digits"),
        ({"name": "a/b"}, "--name: got 'a/b'"),
        ({"name": "x" * 101}, "--name: got"),
        ({"port": -1}, "--port: got -1, accepted is 0 to 65535"),
        ({"port": 65536}, "--port: got 65536"),
        ({"host": "192.0.2.1"}, "--host and --port: can't serve at 192.0.2.1, port 0"),
    ],
)
def test_wrong_flag_is_told_before_the_network_is_loaded(tmp_path, changes, reason):
    with pytest.raises(UserError, match=reason):
        serve.run(call(tmp_path, **changes))


def test_port_in_use_is_told_before_the_network_is_loaded(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=rf"can't serve at 127.0.0.1, port {port} .*in use"):
            serve.run(call(tmp_path, port=port))


def test_checkpoint_of_an_export_is_refused(tmp_path):
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(UserError, match=r"--checkpoint: got 'last', but .* is an export"):
        serve.run(call(tmp_path, checkpoint="last"))


def test_missing_packages_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    reason = r"--mode: serve needs prometheus_client, starlette, uvicorn; pip install 'longhaul\[s"
    with pytest.raises(UserError, match=reason):
        serve.run(call(tmp_path))
