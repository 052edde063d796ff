"""The devices that a process finds: a refusal when there are too few, and a line that names them.

require_accelerators(expected=2, found=0, kind="GPUs")      # UserError
describe(strategy)      # "2 replicas (mirrored): GPU:0 NVIDIA L4, GPU:1 NVIDIA L4"
"""

import tensorflow as tf

from storage.cores import usable_cores
from storage.errors import UserError
from trainer.machines import cluster

_WHAT_TO_CHECK = {
    "GPUs": "the machine's driver (nvidia-smi), the image and that its TensorFlow is built for "
    "GPUs (pip's tensorflow[and-cuda]), or for a TPU (tensorflow-tpu and libtpu)",
    "TPU cores": "the TPU's type, and whether all of its machines run this job",
}
_NAMES = (
    (tf.distribute.TPUStrategy, "tpu"),
    (tf.distribute.MultiWorkerMirroredStrategy, "multi_worker"),
    (tf.distribute.MirroredStrategy, "mirrored"),
    (tf.distribute.OneDeviceStrategy, "one_device"),
)


def require_accelerators(expected: int, found: int, kind: str) -> None:
    """Raises UserError when there are fewer than `expected`, config.strategy.accelerators.

    Without GPUs TensorFlow would train on the CPU of a machine that is paid for its GPUs.
    """
    if found < expected:
        raise UserError(
            f"config.strategy.accelerators: got {found} {kind}, expected {expected}; check "
            f"{_WHAT_TO_CHECK[kind]}; 0 accepts any number"
        )


def describe(strategy: tf.distribute.Strategy) -> str:
    """Returns the replicas of a strategy and the devices of this machine that they are on."""
    replicas = strategy.num_replicas_in_sync
    name = next((name for kind, name in _NAMES if isinstance(strategy, kind)), "default")
    if name == "tpu":
        return f"{_counted(replicas, 'replica')} (tpu): {_counted(replicas, 'TPU core')}"
    gpus = tf.config.list_physical_devices("GPU")
    if name in ("default", "one_device"):  # they take the first one
        used, unused = gpus[:1], gpus[1:]
    else:
        used, unused = gpus, []
    where = (
        ", ".join(map(_gpu_name, used))
        or f"this machine's CPU ({_counted(usable_cores(), 'core')})"
    )
    this_cluster = cluster.from_environment()
    if this_cluster:
        where = f"{len(this_cluster.addresses)} workers, this one on {where}"
    elif unused:
        where += f"; not used: {', '.join(map(_gpu_name, unused))}"
    return f"{_counted(replicas, 'replica')} ({name}): {where}"


def _gpu_name(gpu: tf.config.PhysicalDevice) -> str:
    """Returns a GPU's place and its model, such as "GPU:0 NVIDIA L4"."""
    model = tf.config.experimental.get_device_details(gpu).get("device_name", "")
    return f"GPU:{gpu.name.rpartition(':')[2]} {model}".rstrip()


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
