"""A job, and options, that fit Vertex AI's machines; the golden files are made from them."""

from deploy.targets.vertex.options import Options
from tests.conftest import small_config
from tests.deploy.examples import make_job

ACCOUNT = "trainer@some-project.iam.gserviceaccount.com"
RESERVATION = "projects/some-project/zones/us-central1-a/reservations/mine"
TENSORBOARD = "projects/some-project/locations/us-central1/tensorboards/42"
# Name of the golden file -> the flags.
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
    "reservation_and_shell": {"reservation": RESERVATION, "debug_shell": True},
}


def make_options(**changes):
    return Options(**{"region": "us-central1", "project": "some-project", **changes})


def make_vertex_job(**changes):
    """Returns a job whose batches 1, 2, 3, 4 and 8 replicas can divide."""
    config = small_config()
    config.train.batch_size = config.evaluation.batch_size = 48
    arguments = ("--config=configs/imdb_gpu.py", "--workdir=gs://bucket/runs/a")
    return make_job(**{"arguments": arguments, "config": config, **changes})
