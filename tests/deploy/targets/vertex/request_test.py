"""The requests as golden files, and the equivalent command.

`python -m tests.deploy.targets.vertex.request_test` writes the golden files again.
"""

import json
import os
import subprocess

import pytest
import yaml
from google.cloud.aiplatform_v1 import types

from deploy.targets.vertex.gcloud_command import gcloud_command
from deploy.targets.vertex.request import check_tasks, make_request, render_request
from tests.deploy.examples import GOLDEN, REPOSITORY, refusal
from tests.deploy.targets.required_fields import missing
from tests.deploy.targets.vertex.jobs import CASES, make_options, make_vertex_job

WORKER = (REPOSITORY / "deploy" / "payload" / "vertex_worker.py").read_text(encoding="utf-8")


def rendered(case):
    """Returns the rendered request of a case, without the texts of the payload."""
    job = make_vertex_job()
    text = render_request(make_request(job, make_options(**CASES[case])))
    for name, payload in (("WORKER", WORKER), ("BOOTSTRAP", job.bootstrap)):
        text = text.replace(json.dumps(payload, ensure_ascii=False), f'"{name}"')
    return text


def pools(job, **changes):
    """Returns the worker pools of a request."""
    return make_request(job, make_options(**changes)).custom_job.job_spec.worker_pool_specs


@pytest.mark.parametrize("case", CASES)
def test_request_equals_the_golden_file(case):
    assert rendered(case) == (GOLDEN / f"vertex_{case}.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES)
def test_request_has_all_required_fields(case):
    assert missing(make_request(make_vertex_job(), make_options(**CASES[case]))) == []


def test_required_fields_are_known():
    assert missing(types.CreateCustomJobRequest()) == ["parent", "custom_job"]
    spec = types.CustomJobSpec(worker_pool_specs=[{"container_spec": {"env": [{"name": "A"}]}}])
    path = "worker_pool_specs[0].container_spec"
    assert missing(spec) == [f"{path}.image_uri", f"{path}.env[0].value"]


def test_command_is_carried_intact():
    hostile = "--config.data.source=files:/a b;$(touch X)'\"\\`%s` é😀"
    job = make_vertex_job(arguments=("--config=configs/sample.py", hostile))
    for pool in pools(job, workers=2, accelerator=""):
        container = pool.container_spec
        assert (*container.command, *container.args) == ("python3", "-c", WORKER, *job.command)


def test_chief_alone_keeps_its_exit_code():
    chief, others = pools(make_vertex_job(), workers=3)
    variables = {variable.name: variable.value for variable in chief.container_spec.env}
    assert variables["LONGHAUL_EXIT_FILE"] == "gs://bucket/runs/a/logs/imdb.exit"
    assert [variable.name for variable in others.container_spec.env] == ["PYTHONUNBUFFERED"]


def test_gpus_that_are_paid_for_are_expected():
    (pool,) = pools(make_vertex_job(), accelerators=4)
    assert pool.container_spec.args[-1] == "--config.strategy.accelerators=4"


def test_no_gpu_is_expected_without_one():
    (pool,) = pools(make_vertex_job(), accelerator="")
    assert pool.container_spec.args[-1] == "--workdir=gs://bucket/runs/a"


def test_other_number_of_expected_gpus_is_refused():
    job = make_vertex_job()
    job.config.strategy.accelerators = 2
    line = refusal(make_request, job, make_options(accelerators=4))
    assert line.startswith("config.strategy.accelerators: got 2, but the machines have 4")


def test_preparation_runs_on_several_machines_with_cpus():
    arguments = ("--config=configs/imdb.py", "--mode=prepare", "--workdir=gs://bucket/runs/a")
    job = make_vertex_job(arguments=arguments, mode="prepare")
    job.config.strategy.name = "tpu"  # of the training that comes later
    spec = make_request(job, make_options(accelerator="", workers=5)).custom_job.job_spec
    chief, others = spec.worker_pool_specs
    assert not spec.scheduling.restart_job_on_worker_restart
    assert chief.machine_spec.machine_type == "e2-standard-8"
    assert others.replica_count == 4
    assert chief.container_spec.args[-1] == "--workdir=gs://bucket/runs/a"


def test_second_task_of_a_pool_is_noticed():
    spec = make_request(make_vertex_job(), make_options()).custom_job.job_spec
    spec.worker_pool_specs[0].python_package_spec.python_module = "trainer"
    with pytest.raises(ValueError, match=r"\[0\]: task is python_package_spec"):
        check_tasks(spec)


def test_service_uploads_the_events_of_this_run_only_to_tensorboard():
    options = make_options(**CASES["tensorboard_and_network"])
    spec = make_request(make_vertex_job(), options).custom_job.job_spec
    # AIP_TENSORBOARD_LOG_DIR is logs/ in this folder, by the service's documentation.
    assert spec.base_output_directory.output_uri_prefix == "gs://bucket/runs/a"
    folder = "--config.train.tensorboard_dir=logs"
    assert spec.worker_pool_specs[0].container_spec.args[-1] == folder


def test_bucket_may_be_anywhere_without_tensorboard():
    # A multi-region bucket is refused as the base output directory: python-aiplatform #885.
    spec = make_request(make_vertex_job(), make_options()).custom_job.job_spec
    assert "base_output_directory" not in spec


@pytest.mark.parametrize(
    ("changes", "strategy", "accepted"),
    [
        ({"workers": 2}, "mirrored", "'auto' or 'multi_worker'"),
        ({"accelerators": 4}, "multi_worker", "'auto' or 'mirrored'"),
        ({}, "tpu", "'auto' or 'default' or 'one_device' or 'mirrored'"),
    ],
)
def test_strategy_that_does_not_fit_the_machines_is_refused(changes, strategy, accepted):
    job = make_vertex_job()
    job.config.strategy.name = strategy
    line = refusal(make_request, job, make_options(**changes))
    assert line.startswith(f"config.strategy.name: got '{strategy}'")
    assert accepted in line


def test_batch_that_the_replicas_do_not_divide_is_refused():
    line = refusal(make_request, make_vertex_job(), make_options(workers=5))
    assert line.startswith("config.train.batch_size: got 48 on 5 replicas")


def test_gcloud_command_submits_the_same_job(tmp_path):
    """Runs the command in a shell, with a program in place of gcloud."""
    hostile = "--config.data.dir=a'b $(touch X)😀"
    job = make_vertex_job(arguments=("--config=configs/sample.py", hostile))
    options = make_options(workers=2)
    stub = tmp_path / "gcloud"
    stub.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > arguments\ncat > config\n')
    stub.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    command = ["sh", "-c", gcloud_command(job, options)]
    subprocess.run(command, cwd=tmp_path, env={"PATH": path}, check=True)
    given = (tmp_path / "arguments").read_text().splitlines()
    assert given == [
        *("ai", "custom-jobs", "create", "--region=us-central1", "--project=some-project"),
        *("--display-name=imdb", "--labels=app=longhaul,longhaul-digest=0123456789abcdef"),
        "--config=/dev/stdin",
    ]
    spec = json.loads(render_request(make_request(job, options)))["customJob"]["jobSpec"]
    assert yaml.safe_load((tmp_path / "config").read_text()) == spec
    assert not (tmp_path / "X").exists()


if __name__ == "__main__":
    for name in CASES:
        (GOLDEN / f"vertex_{name}.json").write_text(rendered(name), encoding="utf-8")
