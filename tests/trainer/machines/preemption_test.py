"""Signals and preemption notices, sent to the test's own process."""

import contextlib
import os
import signal
import subprocess
import sys
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


TRAIN = """
import hashlib
from trainer.machines.preemption import StopRequests
with StopRequests() as stop, stop.deferred():
    print("training", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"a", b"b", 10**9)
"""


def test_second_interrupt_ends_the_process_at_once_in_a_call_that_python_can_not_leave():
    process = subprocess.Popen(
        [sys.executable, "-c", TRAIN], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "training\n"
    process.send_signal(signal.SIGTERM)  # which does not count
    with process:
        while process.poll() is None:  # signals that are sent together may arrive as one
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.01)
    assert process.returncode == 75


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
