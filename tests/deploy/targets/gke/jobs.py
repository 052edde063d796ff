"""A job and its JobSet; the golden files are made from them."""

import re

import yaml

from configs import imdb
from deploy.targets.gke.options import Options
from deploy.targets.gke.target import TARGET
from tests.deploy.examples import make_job

PROJECT = {"project": "my-project"}
# Name of the golden file -> the flags.
CASES = {
    "one_gpu": {},
    "four_gpus": {"accelerators": 4, "accelerator": "nvidia-tesla-t4", "cpu": "12"},
    "three_workers": {
        "workers": 3,
        "provisioning": "spot",
        "queue": "lstm",
        "service_account": "trainer",
    },
    "flex_start": {"provisioning": "flex_start", "queue": "lstm", "max_run_hours": 2},
    "reservation": {"reservation": "research-l4"},
    "tpu_slice": {"tpu_topology": "2x2", "namespace": "research", "image": "docker.io/pkg/tpu:1"},
    "tpu_slice_of_four_pods": {"tpu_topology": "4x4", "provisioning": "spot"},
    "no_accelerator": {"accelerator": "", "cpu": "500m", "max_restarts": 0, "max_run_hours": 1},
}


def make_gke_job(
    arguments=("--config=configs/imdb.py",), strategy="auto", source="sample", **changes
):
    """Returns a job of few widths, whose batches 1, 3, 4 and 16 replicas can divide."""
    config = imdb.get_config()
    config.data.width_step = 64
    config.strategy.name = strategy
    config.data.source = source
    config.train.batch_size = config.evaluation.batch_size = 48
    workdir = "gs://bucket/runs/imdb"
    return make_job(
        name="imdb-1",
        arguments=(*arguments, f"--workdir={workdir}"),
        workdir=workdir,
        archive_url="gs://bucket/longhaul/a.tar.gz",
        digest="0f" * 32,
        config=config,
        **changes,
    )


def job_set(flags, **of_job):
    return TARGET.request(make_gke_job(**of_job), Options(**{**PROJECT, **flags}))


def container(manifest):
    job_spec = manifest["spec"]["replicatedJobs"][0]["template"]["spec"]
    return job_spec["template"]["spec"]["containers"][0]


def as_kubernetes(text, variables):
    """Returns an argument of a container as Kubernetes expands it."""

    def replaced(match):
        if match[0] == "$$":
            return "$"
        return variables.get(match[1], match[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", replaced, text)


def command_of(manifest, variables=None):
    """Returns the command that the container of the rendered manifest runs."""
    read = yaml.safe_load(TARGET.render(manifest))
    variables = variables or {"HOME": "/expanded", "x": "expanded"}
    return [as_kubernetes(argument, variables) for argument in container(read)["command"]]
