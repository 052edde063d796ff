"""Serves the TPU chips of a pod; in a slice's first pod also runs the command that drives them all.

    python3 -c "$(cat deploy/gke_slice.py)" COMMAND ARGUMENT ...

Kubernetes sets JOB_COMPLETION_INDEX, and the manifest LONGHAUL_HOSTS: HOST:PORT,HOST:PORT by index.
The command is told where they are. Travels as text into a machine that has tensorflow-tpu and
nothing of longhaul. Not run on hardware.
"""

import os
import signal
import socket
import subprocess
import sys
import time

# The server of TensorFlow's TPU build, without what it asks of a TPU VM: GKE sets that for libtpu.
_SERVER = "from tensorflow.python.tools import grpc_tpu_worker; grpc_tpu_worker.main([])"
_SERVER_HAS_ENDED = 70  # a crash to the rules of deploy/gke_restarts.py, whatever its own code
_SECONDS_BETWEEN_LOOKS = 1.0


def main(*command: str) -> None:
    """Leaves with the command's exit code; the other pods stay until Kubernetes ends them."""
    hosts = os.environ["LONGHAUL_HOSTS"].split(",")
    index = int(os.environ["JOB_COMPLETION_INDEX"])
    host, _, port = hosts[index].rpartition(":")
    own = {"TPU_HOSTNAME_OVERRIDE": host, "TPU_TASK_PORT": port}
    server = subprocess.Popen([sys.executable, "-c", _SERVER], env={**os.environ, **own})  # noqa: S603
    if index:
        _forward(server)
        server.wait()
        sys.exit(_SERVER_HAS_ENDED)
    for address in hosts:
        _wait_for(address, server)
    tpu = ",".join(f"grpc://{address}" for address in hosts)
    where = ["--config.strategy.name=tpu", f"--config.strategy.tpu={tpu}"]
    # The chips are the server's; and of a pod that is lost TensorFlow would print at length.
    others = {"TPU_LOAD_LIBRARY": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}
    job = subprocess.Popen([*command, *where], env={**os.environ, **others})  # noqa: S603
    _forward(job)
    code = job.wait()
    server.kill()
    sys.exit(code if code >= 0 else 128 - code)


def _forward(process: subprocess.Popen) -> None:
    """A container's first process alone is told to leave."""
    signal.signal(signal.SIGTERM, lambda number, _: process.send_signal(number))


def _wait_for(address: str, server: subprocess.Popen) -> None:
    host, _, port = address.rpartition(":")
    while server.poll() is None:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except OSError:  # a pod that has no name yet, or no server
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        else:
            return
    sys.exit(_SERVER_HAS_ENDED)


if __name__ == "__main__":
    main(*sys.argv[1:])
