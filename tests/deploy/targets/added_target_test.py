"""A target that a user adds, from docs/targets.md: all commands work with it."""

import re

import pytest

from configs import sample
from deploy import following
from deploy.defaults import Defaults
from deploy.job import Submission
from deploy.targets import target as targets
from deploy.targets.target import Following, Waiting
from tests.deploy.examples import REPOSITORY, refusal

MODULE = "tests.fakes.queue_target"

pytestmark = pytest.mark.usefixtures("environment")


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """Registers the target, as a line in _REGISTRY would."""
    monkeypatch.setitem(targets._REGISTRY, "queue", targets._Entry(MODULE, MODULE))
    monkeypatch.setattr(targets, "NAMES", (*targets.NAMES, "queue"))


@pytest.fixture
def queue(tmp_path):
    folder = tmp_path / "queue"
    folder.mkdir()
    return folder


def make_plan(queue):
    arguments, workdir = ("--config=configs/sample.py",), f"gs://bucket/{queue.parent.name}/run"
    submission = Submission("imdb", arguments, sample.get_config(), workdir, Defaults())
    options = targets.make_options("queue", {"folder": str(queue)})
    return targets.load("queue").prepare(submission, options)


def test_its_flags_are_flags_of_the_command():
    helps = {flag.name: flag.help for flag in targets.option_flags()}
    assert helps["folder"] == "queue: Folder that the machines take jobs from. Required."
    assert "queue: " in helps["max_run_hours"]


def test_job_is_planned_submitted_watched_and_listed(queue, capsys):
    plan = make_plan(queue)
    assert "24 hours of machine" in plan.describe()
    moves = iter(["RUNNING", "DONE"])

    def pause(_):
        (queue / "imdb.state").write_text(next(moves, "DONE"))
        (queue / "imdb.log").write_text("step 1\n")

    assert plan.target.submit(plan, Waiting(), pause=pause) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == ["imdb: QUEUED", "imdb: RUNNING", "step 1", "imdb: DONE"]
    assert following.show_all("queue", {"folder": str(queue)}) == 0
    assert "imdb" in capsys.readouterr().out
    assert following.follow(Following("cancel", "imdb"), None, {}) == 0
    assert "no such job" in refusal(following.follow, Following("status", "imdb"), None, {})


def test_page_shows_the_code_of_this_target():
    page = (REPOSITORY / "docs" / "targets.md").read_text()
    code = (REPOSITORY / "tests" / "fakes" / "queue_target.py").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert blocks
    for block in blocks:
        for part in block.split("\n...\n"):
            assert part.strip("\n") in code
