"""Serves the TPU chips of a pod; a slice's first pod also runs the command that uses all chips.

    python3 -c "$(cat deploy/payload/gke_slice.py)" COMMAND ARGUMENT ...

Kubernetes sets JOB_COMPLETION_INDEX, and the manifest sets LONGHAUL_HOSTS to HOST:PORT,HOST:PORT in
the order of the indices. The command gets the servers' addresses as arguments. Its text is sent to
a machine that has tensorflow-tpu but no code of longhaul. Not run on hardware.
"""

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time

# The server of TensorFlow's TPU build, without the step that asks a TPU VM's metadata server about
# the slice: on GKE libtpu has that from variables.
_SERVER = "from tensorflow.python.tools import grpc_tpu_worker; grpc_tpu_worker.main([])"
_SERVER_ENDED = 70  # counts as a crash in deploy/targets/gke/restart_rules.py
_RUN_AGAIN = 75  # the trainer's exit code when it was stopped from outside
_SECONDS_TO_CONNECT = 1800.0  # for the servers of all pods together
_SECONDS_BETWEEN_TRIES = 1.0
_SECONDS_TO_END = 2.0  # for a server that is about to end
# TensorFlow reaches a v5e only through PJRT, and loads that from libtpu when both are set.
_PJRT, _PLUGIN = "NEXT_PLUGGABLE_DEVICE_USE_C_API", "TF_PLUGGABLE_DEVICE_LIBRARY_PATH"


def main(*command: str) -> None:
    """Exits with the command's exit code; the other pods serve until Kubernetes kills them.

    Kubernetes kills a pod some time after SIGTERM. The first pod saves in that time, for which it
    needs the chips of the others.
    """
    hosts = os.environ["LONGHAUL_HOSTS"].split(",")
    index = int(os.environ["JOB_COMPLETION_INDEX"])
    host, _, port = hosts[index].rpartition(":")
    # A container's first process ignores every signal that it has no handler for.
    signal.signal(signal.SIGTERM, signal.SIG_IGN if index else _stop)
    place = {"TPU_HOSTNAME_OVERRIDE": host, "TPU_TASK_PORT": port, **_chips()}
    server = subprocess.Popen([sys.executable, "-c", _SERVER], env={**os.environ, **place})  # noqa: S603
    if index:
        server.wait()
        sys.exit(_SERVER_ENDED)
    deadline = time.monotonic() + _SECONDS_TO_CONNECT
    for address in hosts:
        _wait_for(address, server, deadline)
    tpu = ",".join(f"grpc://{address}" for address in hosts)
    strategy = ["--config.strategy.name=tpu", f"--config.strategy.tpu={tpu}"]
    # The server has the chips, so the command must not load libtpu. And TensorFlow would print at
    # length about a pod that is lost.
    changes = {"TPU_LOAD_LIBRARY": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}
    kept = {name: text for name, text in os.environ.items() if name not in (_PJRT, _PLUGIN)}
    job = subprocess.Popen([*command, *strategy], env={**kept, **changes})  # noqa: S603
    signal.signal(signal.SIGTERM, lambda number, _: job.send_signal(number))
    code = job.wait()
    if code == _RUN_AGAIN:  # also the code after a server was lost, which may be this pod's
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(_SECONDS_TO_END)
            sys.exit(_SERVER_ENDED)
    server.kill()
    sys.exit(code if code >= 0 else 128 - code)


def _chips() -> dict[str, str]:
    """Returns the variables with which a process uses this pod's chips."""
    found = importlib.util.find_spec("libtpu")  # does not import it
    if not found or not found.submodule_search_locations:
        sys.exit("error: this image has no libtpu; build it with the command that --dry_run prints")
    return {_PJRT: "true", _PLUGIN: f"{found.submodule_search_locations[0]}/libtpu.so"}


def _stop(*_: object) -> None:
    sys.exit(_RUN_AGAIN)


def _wait_for(address: str, server: subprocess.Popen, deadline: float) -> None:
    """Waits until a server can be reached; exits when this pod's own server has ended."""
    print(f"waiting for the server at {address}", flush=True)
    host, _, port = address.rpartition(":")
    while server.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except OSError:  # the pod has no DNS name yet, or its server does not listen yet
            time.sleep(_SECONDS_BETWEEN_TRIES)
        else:
            return
    sys.exit(_SERVER_ENDED)


if __name__ == "__main__":
    main(*sys.argv[1:])
