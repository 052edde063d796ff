"""The registry of targets, and the flags that their Options become."""

import dataclasses
import subprocess
import sys
import typing

import pytest

from deploy.jobs import JobTarget
from deploy.targets import target as targets
from storage.errors import UserError
from tests.deploy.examples import REPOSITORY, refusal

# Runs deploy.submit where nothing of the `deploy` extra is installed.
WITHOUT_CLIENTS = """
import sys
for name in ("google.cloud.aiplatform_v1", "google.cloud.tpu_v2"):
    sys.modules[name] = None
from deploy.submit.__main__ import run
run()
"""


def submit_without_clients(*flags):
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_CLIENTS, *flags],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.usefixtures("project")
def test_missing_client_is_one_line(monkeypatch):
    monkeypatch.delitem(sys.modules, "deploy.targets.vertex.target", raising=False)
    monkeypatch.setitem(sys.modules, "google.cloud.aiplatform_v1", None)
    with pytest.raises(UserError, match=r"needs a package that is not installed \(.*aiplatform_v1"):
        targets.make_options("vertex", {"region": "us-central1"})


@pytest.mark.usefixtures("project")
def test_missing_part_of_googles_clients_is_one_line(monkeypatch):
    """Other packages install parts of `google.cloud`, so the package itself is not missing."""
    targets.load("tpu_vm")
    monkeypatch.delitem(sys.modules, "deploy.targets.tpu_vm.target")
    monkeypatch.delattr("google.cloud.tpu_v2")
    monkeypatch.setitem(sys.modules, "google.cloud.tpu_v2", None)
    with pytest.raises(UserError, match=r"--target: tpu_vm needs a package that is not installed"):
        targets.make_options("tpu_vm", {"zone": "us-west4-a"})


@pytest.mark.usefixtures("project")
def test_flags_with_several_values_become_one_options_each_the_first_flag_slowest():
    given = {"zone": "us-west4-a,us-east5-b", "provisioning": "spot,on_demand"}
    made = targets.make_options("tpu_vm", given)
    assert [(options.provisioning, options.zone) for options in made] == [
        ("spot", "us-west4-a"), ("spot", "us-east5-b"),
        ("on_demand", "us-west4-a"), ("on_demand", "us-east5-b"),
    ]  # fmt: skip


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("zone", ["us-west4-a,", ",", "us-west4-a;us-east5-b", "us-west4-a, us-b"])
def test_list_with_a_value_that_is_none_is_refused(zone):
    assert refusal(targets.make_options, "tpu_vm", {"zone": zone}).startswith("--zone: got ")


def test_full_name_of_a_job_says_where_it_is():
    name = "projects/some-project/locations/us-west4-a/queuedResources/imdb"
    assert targets.parse_full_name(name) == (
        "tpu_vm", {"project": "some-project", "zone": "us-west4-a"}, "imdb"
    )  # fmt: skip
    assert targets.parse_full_name(f"{name}/operations/1") is None
    assert targets.parse_full_name("imdb") is None


def test_help_needs_no_client():
    done = submit_without_clients("--help")
    assert (done.returncode, done.stderr) == (0, "")


def test_local_job_needs_no_client():
    done = submit_without_clients("--dry_run", "--config=configs/sample.py", "--workdir=runs/a")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("python -m trainer --config=configs/sample.py")


def test_flag_that_targets_share_is_defined_once_and_says_what_it_means_to_each():
    flags = targets.option_flags()
    assert len({flag.name for flag in flags}) == len(flags)
    helps = {flag.name: flag.help for flag in flags}
    assert helps["image"].startswith("vertex, gke: Container image")
    for target in ("local", "vertex", "gke"):
        assert f"{target}: " in helps["workers"]
    assert "local: " in helps["max_restarts"] and "Default: 3." in helps["max_restarts"]


@pytest.mark.parametrize("name", targets.NAMES)
def test_every_option_has_a_help_text_and_a_type_that_all_targets_agree_on(name):
    kinds = {flag.name: flag.kind for flag in targets.option_flags()}
    for field in dataclasses.fields(targets.options_class(name)):
        kind, text = typing.get_args(field.type)
        assert text.endswith(".")
        assert kinds[field.name] in (kind, *typing.get_args(kind))


@pytest.mark.parametrize("name", targets.NAMES)
def test_target_locates_its_jobs_by_flags_that_exist(name):
    target = targets.load(name)
    options = {field.name for field in dataclasses.fields(targets.options_class(name))}
    if isinstance(target, JobTarget):
        assert target.name == name
        assert {*target.located_by} <= options | {"workdir"}


@pytest.mark.parametrize("verb", targets.VERBS)
def test_local_jobs_can_not_be_followed(verb):
    (options,) = targets.make_options("local", {})
    line = refusal(targets.load("local").follow, targets.Following(verb, "imdb"), options)
    assert line.startswith(f"{verb}: got --target=local")
