import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest

from trainer.machines.preemption import Stopped, StopRequests

SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.mark.parametrize("number", SIGNALS)
def test_request_ends_what_has_nothing_to_save_at_once(number):
    before = signal.getsignal(number)
    with pytest.raises(Stopped), StopRequests():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", SIGNALS)
def test_deferred_request_waits_until_it_is_asked_for(number):
    with StopRequests() as stop, pytest.raises(Stopped):
        with stop.deferred():
            stop.check()
            os.kill(os.getpid(), number)
            assert 0 < stop.seconds_left() < 30
            with pytest.raises(Stopped):
                stop.check()
        pytest.fail("the end of `deferred` passes the request on")


def test_only_a_second_interrupt_does_not_wait():
    with StopRequests() as stop, pytest.raises(Stopped), stop.deferred():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt) as raised:
            os.kill(os.getpid(), signal.SIGINT)
        assert not isinstance(raised.value, Stopped)


class Metadata(BaseHTTPRequestHandler):
    """A machine's metadata: not preempted the first time it is asked, preempted from then on."""

    asked: ClassVar = []

    def do_GET(self):
        self.asked.append((self.path, self.headers["Metadata-Flavor"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"TRUE" if len(self.asked) > 1 else b"FALSE")

    def log_message(self, *_):
        pass


def test_notice_of_the_machine_is_a_request(monkeypatch):
    with HTTPServer(("127.0.0.1", 0), Metadata) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{server.server_port}")
        with pytest.raises(Stopped), StopRequests():
            signal.pause()
        server.shutdown()
    assert Metadata.asked == [("/computeMetadata/v1/instance/preempted", "Google")] * 2
