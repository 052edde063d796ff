"""The environment of local workers; tests/trainer/machines/multi_worker_test.py runs jobs."""

from configs import sample
from deploy.defaults import Defaults
from deploy.job import Submission
from deploy.targets import local
from deploy.targets.target import load, make_options


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


def test_comma_in_the_workdir_is_quoted_for_the_trainer():
    arguments, config = ("--config=configs/sample.py",), sample.get_config()
    submission = Submission("", arguments, config, "runs/a,b", Defaults())
    plan = load("local").prepare(submission, make_options("local", {}))
    assert plan.arguments[-1] == r"--workdir=runs/a\,b"
