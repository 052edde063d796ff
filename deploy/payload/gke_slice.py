"""Serves the TPU chips of a pod; in a slice's first pod also runs the command that drives them all.

    python3 -c "$(cat deploy/payload/gke_slice.py)" COMMAND ARGUMENT ...

Kubernetes sets JOB_COMPLETION_INDEX, and the manifest LONGHAUL_HOSTS: HOST:PORT,HOST:PORT by index.
The command is told where they are. Travels as text into a machine that has tensorflow-tpu and
nothing of longhaul. Not run on hardware.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

# The server of TensorFlow's TPU build, without what it asks of a TPU VM: GKE sets that for libtpu.
_SERVER = "from tensorflow.python.tools import grpc_tpu_worker; grpc_tpu_worker.main([])"
_SERVER_HAS_ENDED = 70  # a crash to deploy/targets/gke/restart_rules.py, whatever its own code
_RUN_AGAIN = 75  # as the trainer does
_PATIENCE = 1800.0  # seconds to wait for the servers of all pods
_SECONDS_BETWEEN_LOOKS = 1.0
_SECONDS_TO_END = 2.0  # of a server that is about to


def main(*command: str) -> None:
    """Leaves with the command's exit code; the other pods serve until Kubernetes kills them.

    That is after the time in which a pod may leave: the first one saves in it, with their help.
    """
    hosts = os.environ["LONGHAUL_HOSTS"].split(",")
    index = int(os.environ["JOB_COMPLETION_INDEX"])
    host, _, port = hosts[index].rpartition(":")
    # A container's first process is deaf to a signal it has no handler for.
    signal.signal(signal.SIGTERM, signal.SIG_IGN if index else _leave)
    own = {"TPU_HOSTNAME_OVERRIDE": host, "TPU_TASK_PORT": port}
    server = subprocess.Popen([sys.executable, "-c", _SERVER], env={**os.environ, **own})  # noqa: S603
    if index:
        server.wait()
        sys.exit(_SERVER_HAS_ENDED)
    until = time.monotonic() + _PATIENCE
    for address in hosts:
        _wait_for(address, server, until)
    tpu = ",".join(f"grpc://{address}" for address in hosts)
    where = ["--config.strategy.name=tpu", f"--config.strategy.tpu={tpu}"]
    # The chips are the server's; and of a pod that is lost TensorFlow would print at length.
    others = {"TPU_LOAD_LIBRARY": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}
    job = subprocess.Popen([*command, *where], env={**os.environ, **others})  # noqa: S603
    signal.signal(signal.SIGTERM, lambda number, _: job.send_signal(number))
    code = job.wait()
    if code == _RUN_AGAIN:  # as it says as well of a server that is lost, which may be this one
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(_SECONDS_TO_END)
            sys.exit(_SERVER_HAS_ENDED)
    server.kill()
    sys.exit(code if code >= 0 else 128 - code)


def _leave(*_) -> None:
    sys.exit(_RUN_AGAIN)


def _wait_for(address: str, server: subprocess.Popen, until: float) -> None:
    print(f"waiting for the server at {address}", flush=True)
    host, _, port = address.rpartition(":")
    while server.poll() is None and time.monotonic() < until:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except OSError:  # a pod that has no name yet, or no server
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        else:
            return
    sys.exit(_SERVER_HAS_ENDED)


if __name__ == "__main__":
    main(*sys.argv[1:])
