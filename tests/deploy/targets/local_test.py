"""The launcher by itself; the jobs that it runs are in trainer/multi_worker_test."""

import os

from deploy.targets import local


def test_workers_share_the_cores_unless_told_otherwise(monkeypatch):
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    monkeypatch.setenv("TF_NUM_INTEROP_THREADS", "7")
    for environment in local.environments(workers=2):
        assert environment["TF_NUM_INTRAOP_THREADS"] == str(max(1, os.cpu_count() // 2))
        assert environment["TF_NUM_INTEROP_THREADS"] == "7"
