"""Numbers of TensorFlow's threads, chosen from the cores that this process may use.

    set_threads(config.strategy, on_cpus=True)      # before TensorFlow uses a device

TensorFlow has two pools of threads: one divides an operation among them (intra-op), one runs
operations side by side (inter-op). The operations of an LSTM's time step are so small that dividing
them costs more than it gains. So on CPUs an operation has one thread, and as many operations run
side by side as there are cores.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

import ml_collections
import tensorflow as tf

from storage.errors import UserError
from trainer.machines.cluster import Cluster

_INTRA, _INTER = "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"


def set_threads(config: ml_collections.ConfigDict, on_cpus: bool, processes: int = 1) -> None:
    """Sets the numbers of threads that the `strategy` part of a config asks for.

    Where a field is 0, TF_NUM_INTRAOP_THREADS and TF_NUM_INTEROP_THREADS decide if they are set.
    Otherwise the numbers are chosen `on_cpus`, for one of `processes` that share this machine's
    cores, and TensorFlow's own with GPUs or a TPU. A chosen number yields to that of a TensorFlow
    which already runs. Raises UserError when one that is asked for differs from it.
    """
    threading = tf.config.threading
    beside = max(1, usable_cores() // processes)
    for field, variable, chosen, set_number in (
        ("intra_op_threads", _INTRA, 1, threading.set_intra_op_parallelism_threads),
        ("inter_op_threads", _INTER, beside, threading.set_inter_op_parallelism_threads),
    ):
        # TensorFlow reads the variable only when no number is set.
        is_chosen = on_cpus and not os.environ.get(variable)
        number = config[field] or (chosen if is_chosen else 0)
        if not number:
            continue
        try:
            set_number(number)
        except RuntimeError as error:  # it already runs with another number
            if config[field]:
                raise UserError(
                    f"config.strategy.{field}: got {number}, but TensorFlow already runs with "
                    "another number of threads; start a new process"
                ) from error


def workers_here(cluster: Cluster) -> int:
    """Returns how many workers of a cluster run on this one's machine, by the host's name."""
    hosts = [address.rpartition(":")[0] for address in cluster.addresses]
    return hosts.count(hosts[cluster.rank])


def usable_cores() -> int:
    """Returns how many cores this process may keep busy, one or more.

    It is the smallest of its affinity, as `taskset` sets it, and of the limits of its control
    groups, as containers have them.
    """
    can_tell = hasattr(os, "sched_getaffinity")  # on Linux
    affinity = len(os.sched_getaffinity(0)) if can_tell else os.cpu_count() or 1
    return min([affinity, *control_group_limits(Path("/"))])


def control_group_limits(root: Path) -> list[int]:
    """Returns the limits of this process's control groups and those above, in cores, rounded up.

    `root` is the root folder. A file that is missing or unclear is no limit. The files' formats:
    https://docs.kernel.org/admin-guide/cgroup-v2.html (cpu.max) and
    https://docs.kernel.org/scheduler/sched-bwc.html (version 1).
    """
    limits = []
    for folder in _control_groups(root):
        # In version 2 the words "200000 100000" of one file, in version 1 a file each: microseconds
        # of all cores together in a period, and the period. "max" and "-1" are no limit.
        words = _read(folder / "cpu.max").split() or [
            _read(folder / "cpu.cfs_quota_us").strip(),
            _read(folder / "cpu.cfs_period_us").strip(),
        ]
        if len(words) == 2 and all(word.isdecimal() and int(word) for word in words):
            quota, period = map(int, words)
            limits.append(math.ceil(quota / period))
    return limits


def _control_groups(root: Path) -> Iterator[Path]:
    """Yields the folders of the groups that may limit this process's CPU time, and those above.

    In a container a group may have the name that it has outside; inside only its top exists.
    """
    for line in _read(root / "proc/self/cgroup").splitlines():
        # Such as "4:cpu,cpuacct:/docker/1f" in version 1, and "0::/" in version 2.
        _, _, entry = line.partition(":")
        controllers, _, name = entry.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        # Where groups are mounted by convention.
        top = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        parts = [part for part in name.split("/") if part]
        yield from (top.joinpath(*parts[:depth]) for depth in range(len(parts) + 1))


def _read(path: Path) -> str:
    """Returns the text of a file, "" when it can't be read."""
    try:
        return path.read_text()
    except (OSError, ValueError):
        return ""
