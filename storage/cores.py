"""The cores that this process may use, which may be fewer than the machine has.

usable_cores()      # 2 in a container with two cores of a machine with 64
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path


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
