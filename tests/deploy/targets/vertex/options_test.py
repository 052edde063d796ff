"""The flags of --target=vertex."""

import pytest

from deploy.targets.vertex.options import Options
from tests.deploy.examples import refusal
from tests.deploy.targets.vertex.jobs import TENSORBOARD, make_options


def test_options_fill_in_the_flags_that_are_left_out(monkeypatch):
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "their-project")
    options = Options(region="europe-west4", accelerators=2)
    assert options.project == "their-project"
    assert options.machine == "g2-standard-24"
    assert options.image == "europe-west4-docker.pkg.dev/their-project/longhaul/longhaul:tf2.21"


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
def test_impossible_option_is_refused_in_one_line(changes, line):
    assert refusal(make_options, **changes).startswith(line)
