"""The watch ends its process, so each test starts one for it."""

import contextlib
import socket
import subprocess
import sys

import pytest

from trainer.machines import lost_machines

WAIT = """
import sys, threading
from trainer.machines import lost_machines
lost_machines.watch(sys.argv[1:], timeout=0.2, lost_after=0.5)
print("watching", flush=True)
threading.Event().wait()
"""
SAVING = (
    """
import threading, time
threading.Thread(target=lambda: (time.sleep(2), print("saved", flush=True)), name="save").start()
"""
    + WAIT
)


def test_process_ends_when_one_of_its_machines_is_lost():
    with socket.create_server(("127.0.0.1", 0)) as kept:
        closed = socket.create_server(("127.0.0.1", 0))
        running, lost = (f"127.0.0.1:{s.getsockname()[1]}" for s in (kept, closed))
        process = subprocess.Popen(
            [sys.executable, "-c", WAIT, running, lost], stderr=subprocess.PIPE, text=True
        )
        closed.accept()
        closed.close()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 75
    assert errors == f"The machine at {lost} is lost; run the same command again.\n"


ASK = """
import sys
from trainer.machines import lost_machines
lost_machines._POLL_SECONDS = 60.0
lost_machines.watch(sys.argv[1:])
print(lost_machines.lost_now() or "all answer", flush=True)
sys.stdin.readline()
print(lost_machines.lost_now(), flush=True)
"""


def test_lost_machine_is_told_before_the_watch_notices():
    server = socket.create_server(("127.0.0.1", 0))
    address = f"127.0.0.1:{server.getsockname()[1]}"
    process = subprocess.Popen(
        [sys.executable, "-c", ASK, address],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "all answer\n"
    server.close()
    output, _ = process.communicate("\n", timeout=60)
    assert output == f"The machine at {address} is lost; run the same command again.\n"


def test_process_waits_for_a_save_in_progress_even_with_standard_error_closed():
    server = socket.create_server(("127.0.0.1", 0))
    address = f"127.0.0.1:{server.getsockname()[1]}"
    process = subprocess.Popen(
        [sys.executable, "-c", SAVING, address],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    process.stderr.close()
    assert process.stdout.readline() == "watching\n"
    server.close()
    assert process.stdout.read() == "saved\n"
    assert process.wait(timeout=60) == 75


def test_machine_that_stops_answering_is_lost():
    """A full queue of connections drops packets, as a machine without power does."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        address = server.getsockname()
        process = subprocess.Popen(
            [sys.executable, "-c", WAIT, f"127.0.0.1:{address[1]}"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout.readline() == "watching\n"
        with contextlib.ExitStack() as connections, contextlib.suppress(TimeoutError):
            while True:
                connections.enter_context(socket.create_connection(address, timeout=0.2))
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 75
    assert errors.endswith("is lost; run the same command again.\n")


def test_process_ends_when_its_watch_ends():
    failing = "import socket; socket.create_connection = lambda *_: 1 / 0"
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = subprocess.run(
            [sys.executable, "-c", WAIT.replace('print("watching", flush=True)', failing),
             f"127.0.0.1:{server.getsockname()[1]}"],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode == 75
    assert "can't be watched (ZeroDivisionError" in done.stderr
    assert "Traceback" not in done.stderr


def test_machine_that_never_answered_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(OSError, match=rf"^{address}: Connection refused$"):
        lost_machines.watch([address])
