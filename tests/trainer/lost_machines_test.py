"""The watch ends its process, so it has one."""

import socket
import subprocess
import sys

import pytest

from trainer import lost_machines

WAIT = """
import sys, threading
from trainer import lost_machines
lost_machines.watch(sys.argv[1:])
threading.Event().wait()
"""


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


def test_machine_that_is_not_there_is_no_machine_to_watch():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(OSError, match=rf"^{address}: Connection refused$"):
        lost_machines.watch([address])
