"""The watch ends its process, so it has one."""

import contextlib
import socket
import subprocess
import sys

import pytest

from trainer.machines import lost_machines

WAIT = """
import sys, threading
from trainer.machines import lost_machines
lost_machines.watch(sys.argv[1:], answer=0.2, silent=0.5)
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


def test_process_leaves_when_one_of_its_machines_is_gone():
    with socket.create_server(("127.0.0.1", 0)) as stays:
        leaves = socket.create_server(("127.0.0.1", 0))
        there, gone = (f"127.0.0.1:{s.getsockname()[1]}" for s in (stays, leaves))
        process = subprocess.Popen(
            [sys.executable, "-c", WAIT, there, gone], stderr=subprocess.PIPE, text=True
        )
        leaves.accept()
        leaves.close()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 75
    assert errors == f"The machine at {gone} is gone; run the same command again.\n"


def test_save_under_way_is_waited_for_and_nobody_has_to_read_the_reason():
    leaves = socket.create_server(("127.0.0.1", 0))
    address = f"127.0.0.1:{leaves.getsockname()[1]}"
    process = subprocess.Popen(
        [sys.executable, "-c", SAVING, address],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    process.stderr.close()
    assert process.stdout.readline() == "watching\n"
    leaves.close()
    assert process.stdout.read() == "saved\n"
    assert process.wait(timeout=60) == 75


def test_machine_that_falls_silent_is_gone():
    """Its packets go nowhere, as those of a machine without power: the queue of callers is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as silent:
        address = silent.getsockname()
        process = subprocess.Popen(
            [sys.executable, "-c", WAIT, f"127.0.0.1:{address[1]}"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout.readline() == "watching\n"
        with contextlib.ExitStack() as callers, contextlib.suppress(TimeoutError):
            while True:
                callers.enter_context(socket.create_connection(address, timeout=0.2))
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 75
    assert errors.endswith("is gone; run the same command again.\n")


def test_machine_that_is_not_there_is_no_machine_to_watch():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(OSError, match=rf"^{address}: Connection refused$"):
        lost_machines.watch([address])
