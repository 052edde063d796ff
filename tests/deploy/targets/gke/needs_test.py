"""The prerequisites of a job on GKE."""

import pytest

from deploy.targets.gke.options import Options
from deploy.targets.gke.target import TARGET
from tests.deploy.targets.gke.jobs import PROJECT, make_gke_job
from tests.fakes.kubectl import CONTEXT


def needs(source="sample", arguments=("--config=configs/imdb.py",), **flags):
    options = Options(**{**PROJECT, **flags})
    return TARGET.prerequisites(make_gke_job(arguments, source=source), options)


def test_prerequisites_name_everything_a_job_needs():
    arguments = ("--config=configs/imdb.py", "--config.data.source=shards:gs://bucket/a b")
    lines = needs(
        "shards:gs://bucket/a b",
        arguments,
        queue="lstm",
        service_account="trainer",
        namespace="research",
    )
    text = "\n".join(lines)
    for part in (
        "python -m trainer --mode=prepare --config=configs/imdb.py '--workdir=gs://bucket/a b'",
        "us-central1-docker.pkg.dev/my-project/longhaul/longhaul:tf2.21",
        "JobSet v0.10.0 or later",
        "jobset/releases",
        "kubectl get localqueue/lstm --namespace=research",
        "my-project.svc.id.goog/subject/ns/research/sa/trainer",
        "gs://bucket ",
        "--role=roles/container.developer",
        "--role=roles/artifactregistry.reader",
        "workload identity",
        "Nothing is downloaded from PyPI",
    ):
        assert part in text
    assert all(len(line.splitlines()) == 1 for line in lines)


def test_unused_options_have_no_prerequisites():
    text = "\n".join(needs())
    assert "prepare" not in text and "kueue" not in text and "Pod Security" not in text
    assert "quota for" not in "\n".join(needs(accelerator=""))


def test_another_bucket_that_the_job_reads_is_named():
    job = make_gke_job(source="shards:gs://shards/imdb")
    text = "\n".join(TARGET.prerequisites(job, Options(**PROJECT)))
    assert "buckets add-iam-policy-binding gs://shards --member=" in text


@pytest.mark.parametrize(
    ("flags", "quota"),
    [
        ({"workers": 3}, "3 of NVIDIA_L4_GPUS in us-central1"),
        ({"provisioning": "spot"}, "1 of PREEMPTIBLE_NVIDIA_L4_GPUS"),
        ({"provisioning": "flex_start"}, "1 of PREEMPTIBLE_NVIDIA_L4_GPUS"),
        ({"accelerator": "nvidia-tesla-t4", "accelerators": 2}, "2 of NVIDIA_T4_GPUS"),
        ({"accelerator": "nvidia-tesla-a100"}, "1 of NVIDIA_A100_GPUS"),
        ({"accelerator": "nvidia-a100-80gb"}, "1 of NVIDIA_A100_80GB_GPUS"),
        ({"accelerator": "nvidia-h100-80gb"}, "GPUS_PER_GPU_FAMILY with gpu_family NVIDIA_H100 "),
        (
            {"accelerator": "nvidia-h100-mega-80gb", "provisioning": "spot"},
            "PREEMPTIBLE_NVIDIA_H100_MEGA_GPUS",
        ),
        ({"tpu_topology": "4x4"}, "16 of TPU_LITE_PODSLICE_V5"),
        ({"tpu_topology": "2x2", "provisioning": "spot"}, "4 of PREEMPTIBLE_TPU_LITE_PODSLICE_V5"),
    ],
)
def test_quota_is_named_with_the_command_that_shows_it(flags, quota):
    (line,) = (line for line in needs(**flags) if line.startswith("quota for"))
    assert quota in line
    assert "gcloud compute regions describe us-central1 --project=my-project" in line


def test_nodes_are_named_by_their_labels():
    assert "cloud.google.com/reservation-name=r1" in "\n".join(needs(reservation="r1"))
    flexible = "\n".join(needs(provisioning="flex_start"))
    assert "Kubernetes 1.32.2 or later" in flexible and "gke-flex-start=true" in flexible


def test_pods_of_a_tpu_need_a_namespace_that_accepts_root():
    assert "Pod Security level" in "\n".join(needs(tpu_topology="2x2"))
    assert "ports 8470 and 8476" in "\n".join(needs(tpu_topology="4x4"))


def test_context_names_the_cluster():
    text = "\n".join(needs(context=CONTEXT))
    assert "get-credentials research --location=us-central1 --project=my-project" in text
