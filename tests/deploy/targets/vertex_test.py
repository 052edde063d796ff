"""Vertex AI's requests as files, and the life of jobs over the wire.

`python -m tests.deploy.vertex_test` writes the files anew.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from google.cloud.aiplatform_v1 import types
from google.cloud.aiplatform_v1.types import JobState
from grpc import StatusCode

from configs import default
from configs.schema import rules
from deploy import package
from deploy.job import Job, State
from deploy.targets.vertex import target as vertex
from storage.errors import UserError
from tests.conftest import small_config
from tests.deploy.targets.required_fields import missing
from tests.fakes.vertex_server import LIFE, VertexServer

ROOT = Path(__file__).parents[3]
GOLDEN = Path(__file__).with_name("golden")
ACCOUNT = "trainer@some-project.iam.gserviceaccount.com"
TENSORBOARD = "projects/some-project/locations/us-central1/tensorboards/42"
CASES = {
    "one_gpu": {},
    "four_gpus": {"accelerators": 4},
    "three_workers_spot": {"workers": 3, "provisioning": "spot", "max_run_hours": 48},
    "flex_start": {
        "provisioning": "flex_start",
        "accelerator": "NVIDIA_H100_80GB",
        "accelerators": 8,
    },
    "tensorboard_and_network": {
        "tensorboard": TENSORBOARD,
        "network": "projects/12345/global/networks/some-net",
        "service_account": ACCOUNT,
    },
    "no_gpu": {"accelerator": "", "boot_disk_gb": 200},
}


def make_options(**changes):
    return vertex.Options(**{"region": "us-central1", "project": "some-project", **changes})


def make_job(**changes):
    config = small_config()
    config.train.batch_size = config.evaluation.batch_size = 48
    fields = {
        "name": "imdb",
        "arguments": ("--config=configs/imdb_gpu.py", "--workdir=gs://bucket/runs/a"),
        "workdir": "gs://bucket/runs/a",
        "archive_url": "gs://bucket/longhaul/longhaul-0.1.0-0123456789abcdef.tar.gz",
        "digest": "0123456789abcdef" * 4,
        "config": config,
    }
    return Job(**{**fields, **changes})


def shown(case):
    """The rendered request of a case, without the bootstrap's text."""
    job = make_job()
    text = vertex.render(vertex.request(job, make_options(**CASES[case])))
    return text.replace(json.dumps(job.command[2], ensure_ascii=False), '"BOOTSTRAP"')


@pytest.fixture
def server():
    with VertexServer() as server:
        yield server


def connect(server, patience=1.0):
    return vertex.connect(make_options(), None, server.channel, server.logging, patience=patience)


def submit(server, **changes):
    job = make_job(**changes)
    return connect(server).submit(job, vertex.request(job, make_options()))


def refusal(call, *arguments, **changes):
    """The one line of a UserError."""
    with pytest.raises(UserError) as raised:
        call(*arguments, **changes)
    text = str(raised.value)
    assert text.isprintable()
    assert len(text) < 600
    return text


@pytest.mark.parametrize("case", CASES)
def test_request_is_as_it_was(case):
    assert shown(case) == (GOLDEN / f"vertex_{case}.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES)
def test_request_has_all_that_is_required(case):
    assert missing(vertex.request(make_job(), make_options(**CASES[case]))) == []


def test_what_is_required_is_known():
    assert missing(types.CreateCustomJobRequest()) == ["parent", "custom_job"]
    spec = types.CustomJobSpec(worker_pool_specs=[{"container_spec": {"env": [{"name": "A"}]}}])
    path = "worker_pool_specs[0].container_spec"
    assert missing(spec) == [f"{path}.image_uri", f"{path}.env[0].value"]


def test_command_is_carried_intact():
    hostile = "--config.data.source=files:/a b;$(touch X)'\"\\`%s` é😀"
    job = make_job(arguments=("--config=configs/sample.py", hostile))
    for pool in vertex.request(job, make_options(workers=2)).custom_job.job_spec.worker_pool_specs:
        container = pool.container_spec
        assert (*container.command, *container.args) == job.command


def test_second_task_of_a_pool_is_noticed():
    spec = vertex.request(make_job(), make_options()).custom_job.job_spec
    spec.worker_pool_specs[0].python_package_spec.python_module = "trainer"
    with pytest.raises(ValueError, match=r"\[0\]: task is python_package_spec"):
        vertex.check_tasks(spec)


def test_options_fill_in_what_the_flags_leave_open(monkeypatch):
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "their-project")
    options = vertex.Options(region="europe-west4", accelerators=2)
    assert options.project == "their-project"
    assert options.machine == "g2-standard-24"
    assert options.image == "europe-west4-docker.pkg.dev/their-project/longhaul/longhaul:tf2.21"


@pytest.fixture
def nameless_credentials(monkeypatch, tmp_path):
    """Those of a user, which lead to nobody and name no project."""
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    content = {"type": "authorized_user", "client_id": "a", "client_secret": "b"}
    file = tmp_path / "application_default_credentials.json"
    file.write_text(json.dumps({**content, "refresh_token": "c"}))
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_project_is_the_one_that_gcloud_is_set_to(nameless_credentials):
    stub = nameless_credentials / "gcloud"
    stub.write_text("#!/bin/sh\necho their-project\n")
    stub.chmod(0o755)
    assert vertex.Options(region="us-central1").project == "their-project"


def test_project_that_nothing_names_is_asked_for(nameless_credentials):
    line = refusal(vertex.Options, region="us-central1")
    assert line.startswith("--project: not given, and neither GOOGLE_CLOUD_PROJECT nor")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"region": "us-central1-a"}, "--region: got 'us-central1-a'"),
        ({"project": "Some_Project"}, "--project: got 'Some_Project'"),
        ({"image": "a b"}, "--image: got 'a b'"),
        ({"machine": "n1;ls"}, "--machine: got 'n1;ls'"),
        ({"accelerator": "TPU_V3"}, "--accelerator: got 'TPU_V3'"),
        ({"accelerators": 0}, "--accelerators: got 0"),
        ({"accelerators": 4, "accelerator": ""}, "--accelerators: got 4"),
        ({"accelerators": 3}, "--machine: not given, and there is no default for 3 NVIDIA_L4"),
        ({"workers": 0}, "--workers: got 0"),
        ({"provisioning": "cheap"}, "--provisioning: got 'cheap'"),
        ({"max_run_hours": 0}, "--max_run_hours: got 0"),
        ({"max_run_hours": 169, "provisioning": "flex_start"}, "--max_run_hours: got 169"),
        ({"accelerator": "", "provisioning": "flex_start"}, "--accelerator: got ''"),
        ({"network": "default"}, "--network: got 'default'"),
        ({"service_account": "me@example.com"}, "--service_account: got 'me@example.com'"),
        ({"tensorboard": "42"}, "--tensorboard: got '42'"),
        ({"tensorboard": TENSORBOARD}, "--service_account: missing; --tensorboard needs one"),
        ({"boot_disk_gb": 10}, "--boot_disk_gb: got 10"),
    ],
)
def test_option_that_can_not_be_is_refused_in_one_line(changes, line):
    assert refusal(make_options, **changes).startswith(line)


@pytest.mark.parametrize(
    ("machine", "accelerator", "count", "line"),
    [
        (
            "g2-standard-12",
            "NVIDIA_L4",
            2,
            "which has 1 x NVIDIA_L4, but --accelerator=NVIDIA_L4 --acc",
        ),
        ("a2-highgpu-8g", "NVIDIA_A100_80GB", 8, "which has 8 x NVIDIA_TESLA_A100, but"),
        ("g2-standard-4", "", 0, "which has 1 x NVIDIA_L4, but --accelerator= "),
        ("e2-standard-4", "NVIDIA_L4", 1, "which has no GPU, but"),
        ("n1-standard-8", "NVIDIA_H100_80GB", 8, "which takes NVIDIA_TESLA_T4, "),
    ],
)
def test_machine_that_has_other_gpus_is_refused(machine, accelerator, count, line):
    given = {"machine": machine, "accelerator": accelerator, "accelerators": count}
    assert refusal(make_options, **given).startswith(f"--machine: got '{machine}', {line}")


@pytest.mark.parametrize(
    ("machine", "accelerator", "count"),
    [
        ("g2-standard-32", "NVIDIA_L4", 1),
        ("n1-highmem-16", "NVIDIA_TESLA_T4", 2),
        ("n1-standard-8", "", 0),
        ("e2-highcpu-16", "", 0),
        ("z9-standard-8", "NVIDIA_L4", 3),  # newer than what is known here
    ],
)
def test_machine_that_may_have_the_gpus_is_accepted(machine, accelerator, count):
    given = {"machine": machine, "accelerator": accelerator, "accelerators": count}
    assert make_options(**given).machine == machine


def test_tensorboard_is_shown_what_the_service_uploads_and_no_other_run():
    options = make_options(**CASES["tensorboard_and_network"])
    spec = vertex.request(make_job(), options).custom_job.job_spec
    # AIP_TENSORBOARD_LOG_DIR is logs/ in this, by the service's documentation.
    assert spec.base_output_directory.output_uri_prefix == "gs://bucket/runs/a"
    assert (
        spec.worker_pool_specs[0].container_spec.args[-1] == "--config.train.tensorboard_dir=logs"
    )
    spec = vertex.request(make_job(), make_options()).custom_job.job_spec
    assert spec.worker_pool_specs[0].container_spec.args[-1] == "--workdir=gs://bucket/runs/a"


@pytest.mark.parametrize(
    ("changes", "strategy", "accepted"),
    [
        ({"workers": 2}, "mirrored", "'auto' or 'multi_worker'"),
        ({"accelerators": 4}, "multi_worker", "'auto' or 'mirrored'"),
        ({}, "tpu", "'auto' or 'default' or 'one_device' or 'mirrored'"),
    ],
)
def test_strategy_that_does_not_fit_the_machines_is_refused(changes, strategy, accepted):
    job = make_job()
    job.config.strategy.name = strategy
    line = refusal(vertex.request, job, make_options(**changes))
    assert line.startswith(f"config.strategy.name: got '{strategy}'")
    assert accepted in line


def test_batch_that_the_replicas_do_not_divide_is_refused():
    line = refusal(vertex.request, make_job(), make_options(workers=5))
    assert line.startswith("config.train.batch_size: got 48 on 5 replicas")


def test_equivalent_command_hands_gcloud_the_same_job(tmp_path):
    """Executed by a shell, with a stand-in for gcloud."""
    job = make_job(arguments=("--config=configs/sample.py", "--config.data.dir=a'b $(touch X)😀"))
    options = make_options(workers=2)
    stub = tmp_path / "gcloud"
    stub.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > arguments\ncat > config\n')
    stub.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    command = ["sh", "-c", vertex.equivalent(job, options)]
    subprocess.run(command, cwd=tmp_path, env={"PATH": path}, check=True)
    given = (tmp_path / "arguments").read_text().splitlines()
    assert given == [
        *("ai", "custom-jobs", "create", "--region=us-central1", "--project=some-project"),
        *("--display-name=imdb", "--labels=app=longhaul,longhaul-digest=0123456789abcdef"),
        "--config=/dev/stdin",
    ]
    spec = json.loads(vertex.render(vertex.request(job, options)))["customJob"]["jobSpec"]
    assert yaml.safe_load((tmp_path / "config").read_text()) == spec
    assert not (tmp_path / "X").exists()


def test_prerequisites_name_the_commands_that_make_them():
    job = make_job(
        arguments=(
            *("--config=configs/imdb_gpu.py", "--config.seed=3"),
            *("--config.data.source=shards:gs://bucket/imdb", "--workdir=gs://bucket/runs/a"),
        )
    )
    assert not any("--mode=prepare" in line for line in vertex.prerequisites(job, make_options()))
    job.config.data.source = "shards:gs://bucket/imdb"
    lines = vertex.prerequisites(job, make_options())
    image = "us-central1-docker.pkg.dev/some-project/longhaul/longhaul:tf2.21"
    assert (
        f"the image: docker build --tag={image} - < deploy/payload/Dockerfile"
        f" && docker push {image}" in (lines)
    )
    assert any("gcloud artifacts repositories create longhaul " in line for line in lines)
    assert lines[-1] == (
        "the reviews in shards: python -m trainer --mode=prepare --config=configs/imdb_gpu.py "
        "--config.seed=3 --workdir=gs://bucket/imdb"
    )


def test_request_arrives_as_it_was_shown(server):
    name = submit(server)
    assert name == "projects/12345/locations/us-central1/customJobs/1000"
    assert server.requests("CreateCustomJob") == [vertex.request(make_job(), make_options())]


def test_server_refuses_a_request_that_lacks_something(server):
    request = vertex.request(make_job(), make_options())
    request.custom_job.job_spec.worker_pool_specs[0].container_spec.image_uri = ""
    line = refusal(connect(server).submit, make_job(), request)
    assert "required: custom_job.job_spec.worker_pool_specs[0].container_spec.image_uri" in line


def test_job_goes_through_its_states(server):
    submit(server)
    remote = connect(server)
    states = [remote.state("imdb") for _ in range(5)]
    assert [state.text for state in states] == [*(s.name for s in LIFE), "JOB_STATE_SUCCEEDED"]
    assert [state.over for state in states] == [False, False, False, True, True]
    assert [state.succeeded for state in states] == [False, False, False, True, True]


def test_failed_job_says_why(server):
    server.fail(submit(server), "workerpool0-0 exited\nwith 1")
    wanted = State("JOB_STATE_FAILED", True, False, "workerpool0-0 exited with 1")
    assert connect(server).state("imdb") == wanted


@pytest.mark.parametrize("state", ["EXPIRED", "CANCELLED", "PARTIALLY_SUCCEEDED"])
def test_other_ends_are_no_success(server, state):
    server.life = (JobState[f"JOB_STATE_{state}"],)
    submit(server)
    assert connect(server).state("imdb")[1:3] == (True, False)


def test_cancelled_job_ends(server):
    submit(server)
    remote = connect(server)
    remote.cancel("imdb")
    states = [remote.state("imdb") for _ in range(2)]
    assert [state.text for state in states] == ["JOB_STATE_CANCELLING", "JOB_STATE_CANCELLED"]
    assert [state.over for state in states] == [False, True]


def test_job_that_is_over_is_not_cancelled(server):
    server.life = LIFE[-1:]
    submit(server)
    connect(server).cancel("imdb")
    assert not server.requests("CancelCustomJob")
    assert connect(server).state("imdb").succeeded


def test_name_that_is_taken_is_refused(server):
    name = submit(server)
    line = refusal(submit, server, digest="f" * 64)
    assert line == (
        f"--name: imdb exists already as {name}, in JOB_STATE_QUEUED; give another, or cancel that "
        "one"
    )
    server.fail(name, "")
    assert "in JOB_STATE_FAILED; give another" in refusal(submit, server)
    assert len(server.jobs) == 1
    submit(server, name="imdb-2")


def test_newest_of_several_is_meant(server):
    job = vertex.request(make_job(), make_options()).custom_job
    for state in ("FAILED", "RUNNING"):
        job.state = JobState[f"JOB_STATE_{state}"]
        server.add(job)
    assert connect(server).state("imdb").text == "JOB_STATE_RUNNING"


def test_job_that_is_not_there_is_named(server):
    remote = connect(server)
    for call in (remote.state, remote.cancel, remote.logs):
        assert refusal(call, "imdb").startswith("imdb: no such job in projects/some-project/")


def test_name_does_not_get_into_the_filter_unchecked(server):
    line = refusal(connect(server).state, 'a" OR display_name="b')
    assert line.startswith("--name: got ")
    assert not server.log


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (StatusCode.INVALID_ARGUMENT, "refused (some\treason); change the flag that it names"),
        (StatusCode.UNAUTHENTICATED, "run `gcloud auth application-default login`"),
        (StatusCode.PERMISSION_DENIED, "not permitted (some\treason); have the role"),
        (StatusCode.NOT_FOUND, "some\treason; check --project and --region"),
        (StatusCode.ALREADY_EXISTS, "some\treason; give another --name"),
        (StatusCode.ABORTED, "no good answer (some\treason); run the same command again"),
        (StatusCode.RESOURCE_EXHAUSTED, "quota exhausted (some\treason); ask for more of it"),
    ],
)
def test_error_is_one_line_that_says_what_to_do(server, code, advice):
    server.inject("CreateCustomJob", code, "some\n reason")
    line = refusal(submit, server)
    assert line.startswith("create the job: ")
    assert advice.replace("\t", " ") in line
    assert len(server.requests("CreateCustomJob")) == 1


def test_service_that_is_away_for_a_moment_is_asked_again(server):
    server.inject("ListCustomJobs", StatusCode.UNAVAILABLE, times=2)
    server.inject("CreateCustomJob", StatusCode.UNAVAILABLE, times=2)
    job = make_job()
    connect(server, patience=30).submit(job, vertex.request(job, make_options()))
    assert len(server.requests("CreateCustomJob")) == 3
    assert len(server.jobs) == 1


@pytest.mark.parametrize(
    "code", [StatusCode.UNAVAILABLE, StatusCode.INTERNAL, StatusCode.DEADLINE_EXCEEDED]
)
def test_lost_answer_does_not_make_a_second_job(server, code):
    server.inject("CreateCustomJob", code, after=True)
    assert submit(server) in server.jobs
    assert len(server.requests("CreateCustomJob")) == 1


def test_another_job_of_that_name_is_not_taken_for_the_lost_one(server):
    job = make_job(digest="f" * 64)
    request = vertex.request(job, make_options())
    other = vertex.request(make_job(), make_options()).custom_job
    server.inject("CreateCustomJob", StatusCode.UNAVAILABLE, meanwhile=lambda: server.add(other))
    assert "--name: imdb exists already" in refusal(connect(server).submit, job, request)
    assert len(server.jobs) == 1


def test_service_that_stays_away_is_given_up(server):
    server.inject("CreateCustomJob", StatusCode.UNAVAILABLE, "not today", times=1000)
    line = refusal(submit, server)
    assert "not today" in line
    assert "run the same command again" in line
    assert not server.jobs


def test_log_is_shown_with_the_newest_last(server):
    submit(server)
    server.entries = [
        {
            "timestamp": f"2026-01-01T00:00:0{second}Z",
            "resource": {"labels": {"task_name": f"workerpool{second}-0"}},
            **payload,
        }
        for second, payload in enumerate(
            (
                {"textPayload": "one\n"},
                {"jsonPayload": {"message": "two"}},
                {"jsonPayload": {"a": 1}},
            )
        )
    ]
    assert connect(server).logs("imdb").splitlines() == [
        "2026-01-01T00:00:00Z workerpool0-0 one",
        "2026-01-01T00:00:01Z workerpool1-0 two",
        '2026-01-01T00:00:02Z workerpool2-0 {"a": 1}',
    ]
    (asked,) = server.entry_requests
    assert asked["path"] == "/v2/entries:list"
    assert asked["resourceNames"] == ["projects/12345"]
    assert asked["filter"] == (
        'resource.labels.job_id="1000" AND timestamp>="2026-01-01T00:00:00+00:00"'
    )


def test_log_that_is_not_there_yet_is_empty(server):
    submit(server)
    assert connect(server).logs("imdb") == ""


def test_error_of_the_log_is_one_line(server):
    submit(server)
    server.entry_status = 403
    line = refusal(connect(server).logs, "imdb")
    assert line.startswith("read the log: not permitted (")
    remote = vertex.connect(
        make_options(), None, server.channel, "http://127.0.0.1:9", patience=0.1
    )
    assert refusal(remote.logs, "imdb").startswith("read the log: no good answer (")


def test_nobody_is_asked_without_credentials(monkeypatch, tmp_path):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    line = refusal(vertex.connect, make_options())
    assert line.startswith(f"GOOGLE_APPLICATION_CREDENTIALS: '{tmp_path / 'none.json'}' holds none")
    assert line.endswith("unset or mend it")


def test_no_machine_is_asked_for_the_project(nameless_credentials, monkeypatch):
    """The metadata server of Google's machines may be somebody else's, or silent."""
    (nameless_credentials / "application_default_credentials.json").unlink()
    with socket.create_server(("127.0.0.1", 0)) as mute:
        monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{mute.getsockname()[1]}")
        monkeypatch.setenv("GCE_METADATA_IP", "127.0.0.1")
        assert refusal(vertex.Options, region="us-central1").startswith("--project: not given")
        mute.setblocking(False)
        with pytest.raises(BlockingIOError):
            mute.accept()


def trainer_flags(config, reviews, folder):
    """The command line of a run of six steps."""
    for split in ("train", "test"):
        lines = (reviews / f"{split}.jsonl").read_text().splitlines(keepends=True)
        (folder / f"{split}.jsonl").write_text("".join(lines[:60]))
    config.data.source = f"files:{folder}"
    config.train.update(batch_size=8, epochs=1)
    config.strategy.name = "multi_worker"  # refused by one that doesn't see the other
    usual = rules.flatten(default.get_config())
    changed = {k: v for k, v in rules.flatten(config).items() if v != usual[k]}
    return ["--config=configs/default.py", *(f"--config.{k}={v}" for k, v in changed.items())]


def tf_configs():
    """TF_CONFIG of the chief and of a worker, with all that Vertex puts into it."""
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        chief, worker = (f"127.0.0.1:{each.getsockname()[1]}" for each in (one, other))
    cluster = {"chief": [chief], "worker": [worker]}
    for role in cluster:
        task = {"type": role, "index": 0, "trial": "0", "cloud": "somewhere"}
        content = {"cluster": cluster, "environment": "cloud", "task": task, "job": "{}"}
        yield json.dumps(content)


def test_worker_pools_run_with_the_tf_config_that_vertex_sets(config, reviews, tmp_path, cloud):
    archive = package.build(ROOT)
    workdir = f"gs://bucket/{tmp_path.name}/run"
    job = make_job(
        arguments=(*trainer_flags(config, reviews, tmp_path), f"--workdir={workdir}"),
        workdir=workdir,
        archive_url=package.upload(archive, f"gs://bucket/{tmp_path.name}"),
        digest=archive.digest,
        config=config,
    )
    spec = vertex.request(job, make_options(workers=2)).custom_job.job_spec
    folder = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    processes = []
    for pool, tf_config in zip(spec.worker_pool_specs, tf_configs(), strict=True):
        container = pool.container_spec
        given = {"TF_CONFIG": tf_config, "AIP_CHECKPOINT_DIR": "gs://bucket/elsewhere/checkpoints/"}
        given |= {variable.name: variable.value for variable in container.env}
        process = subprocess.Popen(
            [*container.command, *container.args],
            env={**environment, **given},
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        processes.append(process)
    results = [(process.communicate()[0], process.returncode) for process in processes]
    assert [code for _, code in results] == [0, 0], results
    written = cloud.objects("bucket")
    assert f"{tmp_path.name}/run/config.json" in written
    assert not any(name.startswith("elsewhere") for name in written)


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for case in CASES:
        (GOLDEN / f"vertex_{case}.json").write_text(shown(case), encoding="utf-8")
