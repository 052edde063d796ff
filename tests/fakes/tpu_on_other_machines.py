"""Runs the trainer on the CPU of another process, in place of a TPU on another machine.

    python -m tests.fakes.tpu_on_other_machines --config=... --config.strategy.name=tpu \
        --config.strategy.tpu=grpc://127.0.0.1:PORT,grpc://127.0.0.1:PORT --workdir=runs/sample

Variables, batches and steps are those of the second address; the loop over steps runs at the first,
as it does with a TPU. `serve` starts a process behind such an address.
"""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator

import tensorflow as tf

from trainer import main

# What tensorflow-tpu's start_grpc_tpu_worker does once it has set its environment.
_SERVE = """
import sys
import tensorflow as tf
cluster = tf.train.ClusterSpec({"tpu_worker": ["localhost:" + sys.argv[1]]})
server = tf.distribute.Server(cluster, job_name="tpu_worker", task_index=0)
print("ready", flush=True)
server.join()
"""


@contextlib.contextmanager
def serve(folder) -> Iterator[str]:
    """The address of a process that runs in a folder, until it is left."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", _SERVE, str(port)]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=quiet, text=True)
    try:
        if process.stdout.readline() != "ready\n":
            raise RuntimeError(f"the server left with {process.wait()}")
        yield f"grpc://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


class _OtherCpu(tf.distribute.OneDeviceStrategy):
    def __init__(self, resolver: tf.distribute.cluster_resolver.TPUClusterResolver):
        super().__init__("/job:worker/task:1/device:CPU:0")
        self.extended._cluster_resolver = resolver


if __name__ == "__main__":
    tf.distribute.TPUStrategy = _OtherCpu
    tf.tpu.experimental.initialize_tpu_system = lambda resolver: None
    main.run()
