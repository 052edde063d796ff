import os

import pytest

from storage import cores

needs_affinity = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="the system has no affinity of processes"
)


@pytest.fixture
def root(tmp_path):
    """Returns a function that writes files by their paths into a fake root folder."""

    def written(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path

    return written


V2 = {"proc/self/cgroup": "0::/pods/one\n"}
V1 = {"proc/self/cgroup": "7:pids:/\n4:cpu,cpuacct:/docker/1f\n3:cpuset:/other\n0::/docker/1f\n"}


@pytest.mark.parametrize(
    ("files", "limits"),
    [
        ({**V2, "sys/fs/cgroup/pods/one/cpu.max": "200000 100000\n"}, [2]),
        ({**V2, "sys/fs/cgroup/pods/one/cpu.max": "150000 100000\n"}, [2]),
        ({**V2, "sys/fs/cgroup/pods/one/cpu.max": "5000 100000\n"}, [1]),
        ({**V2, "sys/fs/cgroup/pods/one/cpu.max": "max 100000\n"}, []),
        # The groups above limit the process too.
        (
            {
                **V2,
                "sys/fs/cgroup/pods/one/cpu.max": "max 100000\n",
                "sys/fs/cgroup/pods/cpu.max": "300000 100000\n",
            },
            [3],
        ),
        # In a container with a namespace of groups, and in one without.
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "400000 100000\n"}, [4]),
        ({**V2, "sys/fs/cgroup/cpu.max": "400000 100000\n"}, [4]),
        (
            {
                **V1,
                "sys/fs/cgroup/cpu/docker/1f/cpu.cfs_quota_us": "250000\n",
                "sys/fs/cgroup/cpu/docker/1f/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/cpu/docker/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/docker/cpu.cfs_period_us": "100000\n",
            },
            [3],
        ),
        (
            {
                **V1,
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "50000\n",
            },
            [2],
        ),
        # Of another controller.
        ({**V1, "sys/fs/cgroup/cpuset/other/cpu.max": "100000 100000\n"}, []),
    ],
)
def test_limits_of_control_groups_are_rounded_up_to_whole_cores(root, files, limits):
    assert cores.control_group_limits(root(files)) == limits


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\n",
        "100000\n",
        "many 100000\n",
        "100000 0\n",
        "0 100000\n",
        "1 2 3\n",
        "-1 -1\n",
        b"\xff\xfe",
    ],
)
def test_unclear_limit_is_none(root, content):
    files = {**V2, "sys/fs/cgroup/pods/one/cpu.max": content}
    assert cores.control_group_limits(root(files)) == []


@pytest.mark.parametrize("groups", ["", "\n", "cpu", "4:cpu", "::", "0::/../above\n", b"\xff\xfe"])
def test_unclear_groups_are_no_limit(root, groups):
    assert cores.control_group_limits(root({"proc/self/cgroup": groups})) == []


def test_system_without_control_groups_has_no_limit(tmp_path):
    assert cores.control_group_limits(tmp_path) == []


def test_usable_cores_are_the_smaller_of_affinity_and_limits(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 5, 7}, raising=False)
    for limits, expected in (([], 4), ([8], 4), ([3, 2], 2)):
        monkeypatch.setattr(cores, "control_group_limits", lambda _, limits=limits: limits)
        assert cores.usable_cores() == expected
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores.usable_cores() == 1


@needs_affinity
def test_usable_cores_follow_the_affinity():
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert cores.usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)
