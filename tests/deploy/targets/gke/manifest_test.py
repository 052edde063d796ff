"""The JobSets as golden files, and the commands that pods run.

`python -m tests.deploy.targets.gke.manifest_test` writes the golden files again.
"""

import copy
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from deploy.image import TPU_LIBRARY
from deploy.targets.gke.options import Options
from deploy.targets.gke.target import TARGET
from tests.deploy.examples import GOLDEN, REPOSITORY, refusal
from tests.deploy.targets.gke.jobs import (
    CASES,
    PROJECT,
    command_of,
    container,
    job_set,
    make_gke_job,
)
from trainer.machines import cluster

SCHEMA = json.loads((GOLDEN.parent / "jobset_schema.json").read_text(encoding="utf-8"))
SLICE = {"tpu_topology": "2x2"}
PAYLOAD = REPOSITORY / "deploy" / "payload"
BOOTSTRAP = (PAYLOAD / "bootstrap.py").read_text(encoding="utf-8")
EXPECTED = "--config.strategy.accelerators=1"  # what the manifest adds for one GPU
# Arguments that must arrive unchanged, though a shell, YAML or Kubernetes would change them.
HOSTILE = (
    "--config.data.source=files:/a b;$(touch X)`touch Y`'\"\\",
    "--config.data.source=$(HOME) $$(HOME) $HOME ${HOME} $$ $",
    "--config.data.dir=${{x}} {{ y }} %s <!-- & | > # : - *a &b !!python/object:os.system",
    "--config.data.dir=ünïcode 字 \N{GRINNING FACE}",
    "--config.data.dir=" + "x" * 9000,
    *("y", "on", "null", "~", "1e3", "0o17", "12:30:00", "", " ", "- a", "a: b", "@", "---"),
)


def rendered(flags):
    manifest = job_set(flags)
    # These texts are long, and have tests of their own.
    command = container(manifest)["command"]
    for name in ("bootstrap", "gke_worker", "gke_slice"):
        text = (PAYLOAD / f"{name}.py").read_text(encoding="utf-8").replace("$", "$$")
        if text in command:
            command[command.index(text)] = f"(the text of deploy/payload/{name}.py)"
    return TARGET.render(manifest)


@pytest.mark.parametrize("name", CASES)
def test_manifest_equals_the_golden_file(name):
    path = GOLDEN / f"gke_{name}.yaml"
    assert rendered(CASES[name]) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
def test_manifest_fits_the_schema_of_jobset(name):
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(job_set(CASES[name]), SCHEMA)


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        (("spec", "failurePolicy"), {"maxRestart": 3}),
        (("spec", "network"), {"enableDnsHostnames": True}),
        (("spec", "suspend"), "true"),
        (("spec", "replicatedJobs", 0, "template", "spec", "backoffLimit"), "0"),
        (("spec", "replicatedJobs", 0, "template", "spec", "template"), {"nodeselector": {}}),
        (("metadata", "name"), "Imdb"),
    ],
)
def test_schema_finds_a_mistake(place, wrong):
    manifest = copy.deepcopy(job_set({}))
    *path, last = place
    inner = manifest
    for step in path:
        inner = inner[step]
    inner[last] = wrong
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(manifest, SCHEMA)


@pytest.mark.parametrize("name", CASES)
def test_yaml_is_read_as_what_was_written(name):
    manifest = job_set(CASES[name])
    text = TARGET.render(manifest)
    assert yaml.safe_load(text) == manifest
    assert TARGET.render(job_set(CASES[name])) == text
    assert "&id" not in text and text.isascii()


def test_texts_that_some_parsers_read_as_other_types_are_quoted():
    texts = [text for text in HOSTILE if len(text) < 10]
    for line in TARGET.render(texts).splitlines():
        assert re.fullmatch(r"""- (["']).*\1""", line), line


@pytest.mark.parametrize("workers", [1, 2])
def test_hostile_arguments_arrive_intact(workers):
    manifest = job_set({"workers": workers}, arguments=HOSTILE)
    start = 3 * (workers - 1)  # after the launcher's arguments
    assert tuple(command_of(manifest)[start:]) == (*make_gke_job(HOSTILE).command, EXPECTED)


def test_nothing_is_executed_on_the_way_to_the_command(tmp_path):
    manifest = job_set({"workers": 2}, arguments=HOSTILE)
    command = command_of(manifest)
    command[command.index(BOOTSTRAP)] = "import json, sys; print(json.dumps(sys.argv[1:]))"
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "JOB_COMPLETION_INDEX": "0",
        **{item["name"]: item["value"] for item in container(manifest)["env"]},
    }
    run = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, timeout=60)
    assert not run.returncode, run.stderr
    assert tuple(json.loads(run.stdout)) == (*make_gke_job(HOSTILE).command[3:], EXPECTED)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("index", [0, 2])
def test_pod_finds_its_rank_by_its_index(index):
    manifest = job_set({"workers": 3})
    launcher = [sys.executable, *command_of(manifest)[1:3]]
    environment = {item["name"]: item["value"] for item in container(manifest)["env"]}
    printed = subprocess.run(
        [*launcher, sys.executable, "-c", "import os; print(os.environ['TF_CONFIG'])"],
        env={**environment, "JOB_COMPLETION_INDEX": str(index)},
        capture_output=True,
        check=True,
        timeout=60,
    ).stdout.decode()
    place = cluster.parse(printed)
    # JOBSET-REPLICATEDJOB-JOBINDEX-PODINDEX.SUBDOMAIN
    assert place.addresses == tuple(f"imdb-1-worker-0-{i}.imdb-1:2222" for i in range(3))
    assert place.rank == index
    assert place.is_chief == (index == 0)


def test_a_single_pod_has_no_launcher_and_no_cluster():
    assert tuple(command_of(job_set({}))) == (*make_gke_job().command, EXPECTED)
    assert not container(job_set({}))["env"]


@pytest.mark.parametrize(
    ("topology", "pods", "chips"), [("1x1", 1, 1), ("2x4", 1, 8), ("4x4", 4, 4), ("16x16", 64, 4)]
)
def test_a_tpu_slice_has_as_many_pods_as_machines(topology, pods, chips):
    job = make_gke_job(strategy="tpu")
    job.config.train.batch_size = job.config.evaluation.batch_size = 256
    manifest = TARGET.request(job, Options(**PROJECT, tpu_topology=topology))
    assert command_of(manifest)[-1] == f"--config.strategy.accelerators={pods * chips}"
    job_spec = manifest["spec"]["replicatedJobs"][0]["template"]["spec"]
    assert (job_spec["completions"], job_spec["parallelism"]) == (pods, pods)
    assert container(manifest)["resources"]["limits"] == {"google.com/tpu": chips}
    assert ("successPolicy" in job_spec) == (pods > 1)


def test_a_tpu_of_one_pod_is_used_through_pjrt_and_a_slice_sets_that_itself():
    variables = {item["name"]: item["value"] for item in container(job_set(SLICE))["env"]}
    assert variables == {
        "NEXT_PLUGGABLE_DEVICE_USE_C_API": "true",
        "TF_PLUGGABLE_DEVICE_LIBRARY_PATH": TPU_LIBRARY,
    }
    several = container(job_set({"tpu_topology": "4x4"}))["env"]
    assert [item["name"] for item in several] == ["LONGHAUL_HOSTS"]


@pytest.mark.parametrize(("flags", "root"), [(SLICE, True), ({}, False), ({"workers": 2}, False)])
def test_only_pods_of_a_tpu_run_as_root(flags, root):
    job_spec = job_set(flags)["spec"]["replicatedJobs"][0]["template"]["spec"]
    assert ("securityContext" in job_spec["template"]["spec"]) == root


@pytest.mark.parametrize("workers", [1, 3])
def test_preparation_runs_in_each_pod_without_a_cluster(workers):
    manifest = job_set({"accelerator": "", "workers": workers}, mode="prepare")
    assert tuple(command_of(manifest)) == make_gke_job().command
    assert not container(manifest)["env"]
    assert container(manifest)["resources"]["requests"] == {"cpu": "2", "memory": "8Gi"}
    assert "--tpu_topology: got '2x2'" in refusal(job_set, SLICE, mode="prepare")


def test_preparation_is_not_checked_for_a_strategy():
    assert job_set({"accelerator": "", "workers": 7}, mode="prepare", strategy="tpu")


@pytest.mark.parametrize("expected", [0, 4])
def test_a_config_may_expect_the_accelerators_that_there_are(expected):
    job = make_gke_job()
    job.config.strategy.accelerators = expected
    command = command_of(TARGET.request(job, Options(**PROJECT, accelerators=4)))
    assert (command[-1] == "--config.strategy.accelerators=4") == (not expected)


@pytest.mark.parametrize("flags", [{}, {"accelerator": ""}, {"tpu_topology": "4x4"}])
def test_a_config_that_expects_other_accelerators_is_refused(flags):
    job = make_gke_job()
    job.config.strategy.accelerators = 3
    line = refusal(TARGET.request, job, Options(**PROJECT, **flags))
    assert "config.strategy.accelerators: got 3" in line


@pytest.mark.parametrize(
    ("flags", "strategy"),
    [
        ({"workers": 2}, "mirrored"),
        ({"workers": 2}, "tpu"),
        ({}, "multi_worker"),
        ({}, "tpu"),
        ({"tpu_topology": "2x2"}, "mirrored"),
    ],
)
def test_a_strategy_that_the_pods_cannot_run_is_refused(flags, strategy):
    line = refusal(job_set, flags, strategy=strategy)
    assert "config.strategy.name" in line and "accepted is 'auto'" in line


if __name__ == "__main__":
    for golden_name, golden_flags in CASES.items():
        golden_path = GOLDEN / f"gke_{golden_name}.yaml"
        golden_path.write_text(rendered(golden_flags), encoding="utf-8")
