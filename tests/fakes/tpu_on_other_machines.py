"""Runs the trainer on the CPUs of other processes, which stand for a TPU on other machines.

    python -m tests.fakes.tpu_on_other_machines --config=... --config.strategy.name=tpu \
        --config.strategy.tpu=grpc://127.0.0.1:PORT,grpc://127.0.0.1:PORT --workdir=runs/sample

The second address holds the variables and computes the steps; the loop over steps runs at the
first, as it does with a TPU. `serve` starts a process that serves such an address.
"""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from trainer import main

# What tensorflow-tpu's start_grpc_tpu_worker does after it has set its environment.
_SERVE = """
import sys
import tensorflow as tf
cluster = tf.train.ClusterSpec({"tpu_worker": ["localhost:" + sys.argv[1]]})
server = tf.distribute.Server(cluster, job_name="tpu_worker", task_index=0)
print("ready", flush=True)
server.join()
"""


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Starts a server with `folder` as its working folder; gives its address, ends it at exit."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", _SERVE, str(port)]
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        if process.stdout.readline() != "ready\n":
            raise RuntimeError(f"the server exited with code {process.wait()}")
        yield f"grpc://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


class _RemoteCpuStrategy(tf.distribute.OneDeviceStrategy):
    """Takes the place of TPUStrategy, on the CPU of the second address."""

    def __init__(self, resolver: tf.distribute.cluster_resolver.TPUClusterResolver):
        super().__init__("/job:worker/task:1/device:CPU:0")
        self.extended._cluster_resolver = resolver


if __name__ == "__main__":
    tf.distribute.TPUStrategy = _RemoteCpuStrategy
    tf.tpu.experimental.initialize_tpu_system = lambda resolver: None
    main.run()
