"""The launcher of a slice's pods as processes, with a stand-in for TensorFlow's server."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys

import pytest

from tests.deploy.examples import REPOSITORY

LAUNCHER = (REPOSITORY / "deploy" / "payload" / "gke_slice.py").read_text(encoding="utf-8")
# In place of tensorflow.python.tools.grpc_tpu_worker, which TensorFlow's TPU build has.
SERVER = """
import json, os, socket
def main(unused):
    names = ["NEXT_PLUGGABLE_DEVICE_USE_C_API", "TF_PLUGGABLE_DEVICE_LIBRARY_PATH"]
    with open("server-" + os.environ["JOB_COMPLETION_INDEX"], "w") as file:
        json.dump([os.environ[name] for name in names], file)
    address = os.environ["TPU_HOSTNAME_OVERRIDE"], int(os.environ["TPU_TASK_PORT"])
    with socket.create_server(address) as server:
        while True:
            if server.accept()[0].recv(9) == b"end":
                raise SystemExit(1)
"""
COMMAND = """
import json, os, sys
names = [name for name in os.environ if "PLUGGABLE" in name or name == "TPU_LOAD_LIBRARY"]
seen = {name: os.environ[name] for name in names}
print(json.dumps([sys.argv[1:], seen]), flush=True)
sys.exit(int(sys.stdin.readline()))
"""


@pytest.fixture
def pods(tmp_path):
    """Yields a function that starts a pod, and the addresses of the two pods."""
    package = tmp_path / "tensorflow" / "python" / "tools"
    package.mkdir(parents=True)
    (package / "grpc_tpu_worker.py").write_text(SERVER)
    for folder in (package, *package.parents[:2], tmp_path / "libtpu"):
        folder.mkdir(exist_ok=True)
        (folder / "__init__.py").touch()
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{s.getsockname()[1]}" for s in (one, other)]
    started = []

    def start(index, **variables):
        process = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, sys.executable, "-c", COMMAND, "a b;$(touch x)"],
            env={
                **os.environ,
                "PYTHONPATH": str(tmp_path),
                "LONGHAUL_HOSTS": ",".join(addresses),
                "JOB_COMPLETION_INDEX": str(index),
                **variables,
            },
            cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield start, addresses
    for process in started:
        with contextlib.suppress(ProcessLookupError):  # it and its children have ended
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def started(pod):
    """Waits until the command of a pod runs; returns what it was given."""
    lines = iter(pod.stdout.readline, "")
    return json.loads(next(line for line in lines if not line.startswith("waiting")))


@pytest.mark.parametrize("code", [0, 1, 75])
def test_first_pod_runs_the_command_on_the_chips_of_all(pods, code):
    start, addresses = pods
    first, second = start(0), start(1)
    arguments, _ = started(first)
    tpu = ",".join(f"grpc://{address}" for address in addresses)
    assert arguments == [
        "a b;$(touch x)", "--config.strategy.name=tpu", f"--config.strategy.tpu={tpu}"
    ]  # fmt: skip
    second.terminate()  # as Kubernetes does; the first may still need it
    first.communicate(f"{code}\n")
    assert first.returncode == code
    host, port = addresses[1].split(":")
    socket.create_connection((host, int(port))).close()
    assert second.poll() is None


def test_servers_load_the_plugin_of_libtpu_and_the_command_does_not(pods, tmp_path):
    start, _ = pods
    image = {"TF_PLUGGABLE_DEVICE_LIBRARY_PATH": "/of/the/image.so"}
    first, _ = start(0, **image), start(1)
    _, seen = started(first)
    assert seen == {"TPU_LOAD_LIBRARY": "0"}
    for index in range(2):
        variables = json.loads((tmp_path / f"server-{index}").read_text())
        assert variables == ["true", str(tmp_path / "libtpu" / "libtpu.so")]


def test_image_without_libtpu_is_an_error_in_one_line(pods, tmp_path):
    start, _ = pods
    shutil.rmtree(tmp_path / "libtpu")
    pod = start(1)
    _, errors = pod.communicate()
    assert pod.returncode == 1
    assert errors.startswith("error: this image has no libtpu")


def test_signal_reaches_the_command(pods):
    start, _ = pods
    first, _ = start(0), start(1)
    started(first)
    first.terminate()
    assert first.wait(timeout=60) == 128 + signal.SIGTERM


def test_signal_reaches_a_pod_that_waits_for_others(pods):
    start, _ = pods
    first = start(0)
    assert first.stdout.readline().startswith("waiting for the server at")
    first.terminate()
    assert first.wait(timeout=60) == 75


def test_server_that_ends_during_the_command_is_a_crash(pods):
    start, addresses = pods
    first, _ = start(0), start(1)
    started(first)
    host, port = addresses[0].split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"end")
        assert connection.recv(1) == b""  # it has ended
    first.communicate("75\n")
    assert first.returncode == 70


@pytest.mark.parametrize("index", [0, 1])
def test_server_that_ends_by_itself_is_a_crash(pods, index):
    start, addresses = pods
    process = start(index)
    host, port = addresses[index].split(":")
    while True:
        try:
            connection = socket.create_connection((host, int(port)))
            break
        except ConnectionRefusedError:
            assert process.poll() is None
    with connection:
        connection.sendall(b"end")
    assert process.wait(timeout=60) == 70
