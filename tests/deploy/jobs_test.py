"""From a submission to a job: its name, its config and its archive."""

import subprocess
import sys

import pytest

from configs import imdb, sample
from deploy.defaults import Defaults
from deploy.job import PREPARE, Submission
from deploy.targets.target import load, make_options
from storage.errors import UserError
from storage.store import open_store
from tests.deploy.examples import REPOSITORY
from tests.deploy.plans import gke_plan, vertex_plan

pytestmark = pytest.mark.usefixtures("environment")


def test_archive_can_be_uploaded_by_hand(tmp_path):
    url = f"gs://bucket/{tmp_path.name}/longhaul"
    command = [sys.executable, "-m", "deploy.package", url]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout == f"{url}/{vertex_plan(tmp_path).archive.name}\n"
    assert open_store(url).list() == [vertex_plan(tmp_path).archive.name]


def test_workdir_on_this_machine_is_refused():
    submission = Submission("", ("--config=c.py",), sample.get_config(), "runs/a", Defaults())
    with pytest.raises(UserError, match="--workdir: got"):
        load("gke").prepare(submission, make_options("gke", {}))


def test_same_command_has_the_same_name_and_another_has_another(tmp_path):
    first, again = vertex_plan(tmp_path), vertex_plan(tmp_path)
    other = vertex_plan(tmp_path, arguments=("--config=configs/imdb_gpu.py", "--config.seed=0"))
    assert first.job.name == again.job.name != other.job.name
    assert first.job.name.startswith("imdb-gpu-")
    larger = vertex_plan(tmp_path, accelerators=4)
    assert larger.job.name != first.job.name


def test_config_from_outside_the_tree_is_included(tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text((REPOSITORY / "configs" / "imdb_gpu.py").read_text())
    plan = vertex_plan(tmp_path, arguments=(f"--config={mine}",))
    assert plan.job.arguments[0] == "--config=configs/mine.py"
    # By hand, on this machine, the file is where it is.
    assert f"--mode=prepare --config={mine} --workdir=gs://bucket/PATH" in plan.describe()
    assert plan.archive.digest != vertex_plan(tmp_path).archive.digest


def test_link_to_a_config_is_that_config(tmp_path):
    link = tmp_path / "link.py"
    link.symlink_to(REPOSITORY / "configs" / "imdb_gpu.py")
    plan = vertex_plan(tmp_path, arguments=(f"--config={link}",))
    assert plan.job.arguments[0] == "--config=configs/imdb_gpu.py"


def test_standard_output_is_only_the_manifest_for_kubectl(tmp_path, capsys):
    plan = gke_plan(tmp_path)
    assert plan.submit(None) == 0
    output = capsys.readouterr()
    assert output.out == plan.target.render(plan.attempts[0].request)
    assert "kubectl" in output.err


def test_job_that_is_renamed_is_the_same_in_all_else(tmp_path):
    plan = vertex_plan(tmp_path)
    other = plan.renamed("other")
    assert other.attempts[0].request.custom_job.display_name == "other"
    assert other.renamed(plan.job.name) == plan


def test_mode_is_part_of_the_command(tmp_path):
    submission = Submission(
        "",
        ("--config=configs/imdb.py",),
        imdb.get_config(),
        "gs://bucket/sets",
        Defaults(),
        PREPARE,
    )
    options = make_options("vertex", {"region": "us-central1", "accelerator": "", "workers": 3})
    plan = load("vertex").prepare(submission, options)
    assert plan.job.arguments == (
        "--config=configs/imdb.py", "--mode=prepare", "--workdir=gs://bucket/sets"
    )  # fmt: skip
