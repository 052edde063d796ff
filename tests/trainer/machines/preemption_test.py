"""Signals and preemption notices, sent to the test's own process."""

import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest

from trainer.machines.preemption import Stopped, StopRequests

SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.mark.parametrize("number", SIGNALS)
def test_request_raises_at_once_outside_of_deferred(number):
    before = signal.getsignal(number)
    with pytest.raises(Stopped), StopRequests():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", SIGNALS)
def test_deferred_request_waits_for_the_next_check(number):
    with StopRequests() as stop, pytest.raises(Stopped):
        with stop.deferred():
            stop.check()
            os.kill(os.getpid(), number)
            assert 0 < stop.seconds_left() < 30
            with pytest.raises(Stopped):
                stop.check()
        pytest.fail("the end of `deferred` must raise the request")


def test_only_a_second_interrupt_is_not_deferred():
    with StopRequests() as stop, pytest.raises(Stopped), stop.deferred():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt) as raised:
            os.kill(os.getpid(), signal.SIGINT)
        assert not isinstance(raised.value, Stopped)


class Metadata(BaseHTTPRequestHandler):
    """A metadata server that answers "not preempted" once and "preempted" from then on."""

    requests: ClassVar = []

    def do_GET(self):
        self.requests.append((self.path, self.headers["Metadata-Flavor"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"TRUE" if len(self.requests) > 1 else b"FALSE")

    def log_message(self, *_):
        pass


def test_preemption_notice_is_a_request(monkeypatch):
    with HTTPServer(("127.0.0.1", 0), Metadata) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{server.server_port}")
        with pytest.raises(Stopped), StopRequests():
            signal.pause()
        server.shutdown()
    assert Metadata.requests == [("/computeMetadata/v1/instance/preempted", "Google")] * 2
