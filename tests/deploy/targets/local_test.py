"""The environment of local workers; tests/trainer/machines/multi_worker_test.py runs jobs."""

import os

from deploy.targets import local


def test_workers_divide_the_cores_unless_the_environment_sets_the_threads(monkeypatch):
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    monkeypatch.setenv("TF_NUM_INTEROP_THREADS", "7")
    for environment in local.environments(workers=2):
        assert environment["TF_NUM_INTRAOP_THREADS"] == str(max(1, os.cpu_count() // 2))
        assert environment["TF_NUM_INTEROP_THREADS"] == "7"


def test_workers_that_prepare_go_on_when_one_is_lost(tmp_path):
    """The first worker kills itself as it counts; the other makes all shards."""
    config = tmp_path / "config.py"
    config.write_text(
        "import json, os, signal\n"
        "from configs import sample\n"
        "def get_config():\n"
        "    if json.loads(os.environ['TF_CONFIG'])['task']['index'] == 0:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return sample.get_config()\n"
    )
    workdir = tmp_path / "sets"
    arguments = (f"--config={config}", "--mode=prepare", f"--workdir={workdir}")
    assert local.run(arguments, workers=2, max_restarts=0, together=False) == 75
    assert {path.parent.name for path in workdir.glob("*/index.json")} == {
        "train", "validation", "test"
    }  # fmt: skip
