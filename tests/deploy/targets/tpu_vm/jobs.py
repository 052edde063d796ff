"""A job that fits a TPU, and options; the golden files are made from them."""

from deploy.targets.tpu_vm.options import Options
from tests.deploy.examples import make_job

PLAIN = {"zone": "us-west4-a", "project": "some-project"}
SPOT = {
    **PLAIN,
    "spot": True,
    "network": "private",
    "service_account": "trainer@some-project.iam.gserviceaccount.com",
    "accelerator_type": "v5litepod-8",
    "max_run_hours": 3,
}
SLICE = {**PLAIN, "accelerator_type": "v5litepod-16"}
# Name of the golden files -> the flags.
CASES = {"tpu_v5e_4": PLAIN, "tpu_v5e_8_spot": SPOT, "tpu_v5e_16": SLICE}
HOSTILE = "--config.data.source=files:/a b;$(touch X)`touch X`'\" \\"


def make_options(**changes):
    return Options(**{**PLAIN, **changes})


def make_tpu_job(workdir="gs://bucket/runs/imdb", extra=(), **changes):
    """Returns a job whose batches are of 64, with `extra` arguments."""
    arguments = ("--config=configs/sample.py", *extra, f"--workdir={workdir}")
    return make_job(arguments=arguments, workdir=workdir, **changes)
