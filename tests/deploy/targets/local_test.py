"""The environment of local workers; tests/trainer/machines/multi_worker_test.py runs jobs."""

import os

from deploy.targets import local


def test_workers_divide_the_cores_unless_the_environment_sets_the_threads(monkeypatch):
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    monkeypatch.setenv("TF_NUM_INTEROP_THREADS", "7")
    for environment in local.environments(workers=2):
        assert environment["TF_NUM_INTRAOP_THREADS"] == str(max(1, os.cpu_count() // 2))
        assert environment["TF_NUM_INTEROP_THREADS"] == "7"
