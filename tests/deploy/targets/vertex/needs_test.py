"""What a job needs before it starts, and the commands for it."""

import subprocess

import pytest

from deploy.targets.vertex.needs import needs, quotas
from tests.deploy.targets.vertex.jobs import ACCOUNT, CASES, make_options, make_vertex_job


def lines(job=None, **changes):
    return needs(job or make_vertex_job(), make_options(**changes))


def one(words, job=None, **changes):
    """Returns the only line that contains some words."""
    (line,) = [line for line in lines(job, **changes) if words in line]
    return line


@pytest.mark.parametrize(
    ("changes", "needed"),
    [
        ({}, {"g2_cpus": 12, "nvidia_l4_gpus": 1}),
        ({"workers": 3, "accelerators": 4}, {"g2_cpus": 144, "nvidia_l4_gpus": 12}),
        (
            {"provisioning": "spot", "workers": 2},
            {"preemptible_cpus": 24, "preemptible_nvidia_l4_gpus": 2},
        ),
        ({"provisioning": "flex_start"}, {"preemptible_cpus": 12, "preemptible_nvidia_l4_gpus": 1}),
        ({"accelerator": "", "workers": 2}, {"cpus": 16}),
        ({"accelerator": "NVIDIA_TESLA_T4"}, {"cpus": 8, "nvidia_t4_gpus": 1}),
        ({"accelerator": "NVIDIA_A100_80GB"}, {"a2_cpus": 12, "nvidia_a100_80gb_gpus": 1}),
        ({"accelerator": "NVIDIA_H100_80GB"}, {"a3_cpus": 26, "nvidia_h100_gpus": 1}),
        (
            {"accelerator": "NVIDIA_H100_MEGA_80GB", "accelerators": 8},
            {"a3_cpus": 208, "nvidia_h100_mega_gpus": 8},
        ),
        ({"accelerator": "", "machine": "m1-megamem-96"}, {"m1_cpus": 96}),
        ({"machine": "z9-standard-8"}, {"z9_cpus": None, "nvidia_l4_gpus": 1}),
    ],
)
def test_quotas_are_named_by_their_metrics(changes, needed):
    prefix = "aiplatform.googleapis.com/custom_model_training_"
    assert quotas(make_options(**changes)) == {prefix + name: n for name, n in needed.items()}


def test_quota_has_the_command_that_shows_it():
    line = one("nvidia_l4_gpus", accelerators=4, workers=2)
    assert line.startswith("quota of 8 aiplatform.googleapis.com/custom_model_training_nvidia_l4")
    assert "gcloud beta quotas info list --project=some-project " in line


def test_user_may_submit_and_read_logs():
    line = one("your account's roles")
    assert line.count('--member="user:$(gcloud config get-value account)"') == 2
    assert "roles/aiplatform.user" in line
    assert "roles/logging.viewer" in line
    assert "gs://bucket" in one("your account's access to the bucket")
    assert not any("run as" in line for line in lines())


def test_user_may_act_as_the_service_account():
    line = one("your account's right", service_account=ACCOUNT)
    assert f"gcloud iam service-accounts add-iam-policy-binding {ACCOUNT} --member=" in line
    assert line.endswith("--role=roles/iam.serviceAccountUser")


def test_service_account_has_its_roles():
    line = one("with its roles", service_account=ACCOUNT)
    assert line.startswith(f"{ACCOUNT} with its roles: gcloud projects add-iam-policy-binding ")
    assert line.endswith("--role=roles/storage.objectUser")


def test_tensorboard_needs_more_roles_and_a_regional_bucket():
    case = CASES["tensorboard_and_network"]
    line = one("with its roles", **case)
    assert "--role=roles/storage.admin && " in line
    assert line.endswith("--role=roles/aiplatform.user")
    assert one("--tensorboard", **case).startswith("--tensorboard: a bucket in us-central1 itself")


def test_image_of_another_project_can_be_pulled():
    words = "artifactregistry.reader"
    image = "europe-docker.pkg.dev/their-project/images/longhaul:1"
    line = one(words, image=image)
    assert "add-iam-policy-binding images --project=their-project --location=europe " in line
    assert "@gcp-sa-aiplatform.iam.gserviceaccount.com" in line
    for other in ("", "docker.io/some/image:1"):
        assert not any(words in line for line in lines(image=other))


def test_other_buckets_can_be_read():
    job = make_vertex_job()
    job.config.data.source = "shards:gs://other/imdb"
    job.config.checkpoint.init_from = "gs://third/runs/a"
    line = one("read access to gs://other/imdb", job)
    assert "buckets add-iam-policy-binding gs://other --member=" in line
    assert "@gcp-sa-aiplatform-cc.iam.gserviceaccount.com" in line
    assert f"serviceAccount:{ACCOUNT}" in one("gs://third/", job, service_account=ACCOUNT)
    job.config.checkpoint.init_from = "gs://bucket/runs/b"
    assert len([line for line in lines(job) if line.startswith("read access")]) == 1


def test_reviews_have_the_command_that_prepares_them():
    arguments = (
        *("--config=configs/imdb_gpu.py", "--config.seed=3"),
        *("--config.data.source=shards:gs://bucket/imdb", "--workdir=gs://bucket/runs/a"),
    )
    job = make_vertex_job(arguments=arguments)
    assert not any("--mode=prepare" in line for line in lines(job))
    job.config.data.source = "shards:gs://bucket/imdb"
    assert lines(job)[-1] == (
        "the reviews in shards: python -m trainer --mode=prepare --config=configs/imdb_gpu.py "
        "--config.seed=3 --workdir=gs://bucket/imdb"
    )


def test_preparation_needs_the_internet_alone():
    job = make_vertex_job(mode="prepare")
    job.config.data.source = "tfds:imdb_reviews"
    assert lines(job, accelerator="")[-1] == "access to the internet, for tfds:imdb_reviews"


def test_debug_shell_says_how_to_open_it():
    assert "roles/aiplatform.user" in one("--debug_shell", debug_shell=True)


@pytest.mark.parametrize("case", CASES)
def test_commands_are_words_of_a_shell(case, tmp_path):
    """Runs each command in a shell, with a program in place of gcloud."""
    stub = tmp_path / "gcloud"
    stub.write_text('#!/bin/sh\ncase "$1" in projects | config) echo 12345 ;; esac\n')
    stub.chmod(0o755)
    for line in lines(**CASES[case]):
        _, found, command = line.partition(": gcloud ")
        if found:
            command = command.partition("; more")[0]
            subprocess.run(
                ["sh", "-euc", f"gcloud {command}"], cwd=tmp_path, check=True,
                env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, stdout=subprocess.DEVNULL,
            )  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["gcloud"]
