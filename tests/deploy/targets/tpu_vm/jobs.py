"""A job that fits a TPU, and options; the golden files are made from them."""

from configs import sample
from deploy.targets.tpu_vm.options import Options
from tests.deploy.examples import make_job

PLAIN = {"zone": "us-west4-a", "project": "some-project"}
SPOT = {
    **PLAIN,
    "provisioning": "spot",
    "network": "private",
    "service_account": "trainer@some-project.iam.gserviceaccount.com",
    "accelerator_type": "v5litepod-8",
    "max_run_hours": 3,
}
SLICE = {**PLAIN, "accelerator_type": "v5litepod-16"}
RESERVED = {
    **PLAIN,
    "reservation": "january",
    "network": "private",
    "subnetwork": "projects/some-project/regions/us-west4/subnetworks/inner",
    "external_ips": False,
    "wheels": "gs://bucket/wheels",
    "keep_on_failure": 2,
}
# Name of the golden files -> the flags.
CASES = {
    "tpu_v5e_4": PLAIN,
    "tpu_v5e_8_spot": SPOT,
    "tpu_v5e_16": SLICE,
    "tpu_v5e_4_reserved": RESERVED,
}
HOSTILE = "--config.data.source=files:/a b;$(touch X)`touch X`'\" \\"


def make_options(**changes):
    return Options(**{**PLAIN, **changes})


def make_tpu_job(workdir="gs://bucket/runs/imdb", extra=(), **changes):
    """Returns a job of few widths and batches of 64, with `extra` arguments."""
    arguments = ("--config=configs/sample.py", *extra, f"--workdir={workdir}")
    config = sample.get_config()
    config.data.width_step = 64
    return make_job(**{"arguments": arguments, "workdir": workdir, "config": config, **changes})
