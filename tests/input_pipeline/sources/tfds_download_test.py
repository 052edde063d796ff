"""Run with `python -m pytest tests/input_pipeline/sources/tfds_download_test.py`."""

import contextlib
import http.server
import socket
import threading

import pytest
import requests
import tensorflow_datasets as tfds

from input_pipeline.sources.tfds_download import check_reachable, download, missing_urls
from tests.input_pipeline.sources.reading import complaint, write

ADVICE = "prepare it elsewhere"


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if "busy" in self.path else 200)
        self.end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def answering():
    with http.server.ThreadingHTTPServer(("localhost", 0), Answers) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()


def test_failing_download_says_its_advice_first_and_last(tmp_path, monkeypatch, capsys):
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("http_proxy", f"http://localhost:{port}")  # nothing listens there
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")
    builder = tfds.builder("imdb_reviews", data_dir=str(tmp_path))
    message = complaint(download, builder, tmp_path, ADVICE)
    assert "config.data.source: downloading imdb_reviews failed (ProxyError" in message
    assert message.endswith(ADVICE)
    assert f"Without internet: {ADVICE}" in capsys.readouterr().out


def test_server_that_never_answers_is_given_up():
    with socket.create_server(("localhost", 0)) as server:
        url = f"http://localhost:{server.getsockname()[1]}/reviews.tar.gz"
        with pytest.raises(requests.Timeout):
            check_reachable([url], seconds=0.05)


def test_each_server_is_asked_once():
    with answering() as url:
        check_reachable([f"{url}/a", f"{url}/b", "gs://bucket/c"], seconds=60)
        with pytest.raises(requests.HTTPError, match="503"):
            check_reachable([f"{url}/busy"], seconds=60)


def test_file_that_was_downloaded_before_needs_no_server(tmp_path):
    urls = ["http://a.example/a.zip", "http://a.example/b.zip"]
    write(tmp_path, {"reviews/a.zip.INFO": f'{{"urls": ["{urls[0]}"]}}'})
    assert missing_urls(urls, tmp_path) == urls[1:]
