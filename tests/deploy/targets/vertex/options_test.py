"""The flags of --target=vertex."""

import pytest

from deploy.targets.target import make_options as make_alternatives
from deploy.targets.target import parse_full_name
from deploy.targets.vertex.options import Options
from tests.deploy.examples import refusal
from tests.deploy.targets.vertex.jobs import ACCOUNT, RESERVATION, TENSORBOARD, make_options

T4, V100 = "NVIDIA_TESLA_T4", "NVIDIA_TESLA_V100"
NO_GPU = {"accelerator": ""}
FLEX_START = {"provisioning": "flex_start"}


def test_options_fill_in_the_flags_that_are_left_out(monkeypatch):
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "their-project")
    options = Options(region="europe-west4", accelerators=2)
    assert options.project == "their-project"
    assert options.machine == "g2-standard-24"
    assert options.provisioning == "on_demand"
    assert options.image == "europe-west4-docker.pkg.dev/their-project/longhaul/longhaul:tf2.21"


def test_alternatives_are_tried_in_order_with_an_image_of_their_own_region(project):
    given = {"region": "us-central1,europe-west4", "provisioning": "spot,on_demand"}
    alternatives = make_alternatives("vertex", given)
    assert [(each.provisioning, each.region) for each in alternatives] == [
        ("spot", "us-central1"),
        ("spot", "europe-west4"),
        ("on_demand", "us-central1"),
        ("on_demand", "europe-west4"),
    ]
    assert alternatives[1].image.startswith("europe-west4-docker.pkg.dev/")


def test_full_name_tells_the_region():
    name = "projects/12345/locations/us-east4/customJobs/1000"
    assert parse_full_name(name) == ("vertex", {"region": "us-east4"}, name)
    for other in (f"{name}/x", name.replace("customJobs", "jobs"), f"{name}\n"):
        assert parse_full_name(other) is None


# Flags that are mistaken or hostile, and how the refusal begins.
REFUSED = [
    ({"region": ""}, "--region: got ''"),
    ({"region": "us-central1-a"}, "--region: got 'us-central1-a'"),
    ({"region": "US-CENTRAL1"}, "--region: got 'US-CENTRAL1'"),
    ({"region": "us-central1.evil.example/"}, "--region: got 'us-central1.evil.example/'"),
    ({"region": "us-central1,us-east4"}, "--region: got 'us-central1,us-east4'"),
    ({"region": "global"}, "--region: got 'global'"),
    ({"project": "Some_Project"}, "--project: got 'Some_Project'"),
    ({"project": "12345"}, "--project: got '12345'"),
    ({"project": "some-project/../other"}, "--project: got 'some-project/../other'"),
    ({"image": "a b"}, "--image: got 'a b'"),
    ({"image": "longhaul:tf2.21"}, "--image: got 'longhaul:tf2.21'"),
    ({"image": "quay.io/some/image:1"}, "--image: got 'quay.io/some/image:1'"),
    ({"image": "localhost:5000/image:1"}, "--image: got 'localhost:5000/image:1'"),
    ({"image": "docker.io/some/image"}, "--image: got 'docker.io/some/image'"),
    ({"image": "docker.io/some/image:$(id)"}, "--image: got 'docker.io/some/image:$(id)'"),
    ({"image": "us-docker.pkg.dev/p/r/i:1\n"}, "--image: got 'us-docker.pkg.dev/p/r/i:1\\n'"),
    ({"machine": "n1;ls"}, "--machine: got 'n1;ls'"),
    ({"machine": "g2-standard-13"}, "--machine: got 'g2-standard-13'"),
    ({"machine": "g2-standard-12 "}, "--machine: got 'g2-standard-12 '"),
    ({"machine": "G2-standard-12"}, "--machine: got 'G2-standard-12'"),
    ({"machine": "gpu-large"}, "--machine: got 'gpu-large'"),
    ({"machine": "ct5lp-hightpu-4t"}, "--machine: got 'ct5lp-hightpu-4t'"),
    ({"machine": "cloud-tpu"}, "--machine: got 'cloud-tpu'"),
    ({"machine": "e2-micro", **NO_GPU}, "--machine: got 'e2-micro'"),
    ({"machine": "n1-standard-1", **NO_GPU}, "--machine: got 'n1-standard-1'"),
    ({"machine": "c3-standard-8", **NO_GPU}, "--machine: got 'c3-standard-8'"),
    ({"machine": "e2-custom-8-16384", **NO_GPU}, "--machine: got 'e2-custom-8-16384'"),
    ({"accelerator": "TPU_V3"}, "--accelerator: got 'TPU_V3'"),
    ({"accelerator": "nvidia-l4"}, "--accelerator: got 'nvidia-l4'"),
    ({"accelerator": "NVIDIA_TESLA_K80"}, "--machine: not given, and there is no default for 1"),
    ({"accelerator": T4, "machine": "g2-standard-4"}, "--machine: got 'g2-standard-4', which has"),
    ({"accelerator": T4, "accelerators": 3}, "--machine: not given, and there is no default"),
    ({"accelerator": T4, "accelerators": 8}, "--machine: not given, and there is no default"),
    (
        {"accelerator": V100, "accelerators": 2, "machine": "n1-standard-32"},
        "--accelerators: got 2, accepted is for NVIDIA_TESLA_V100 on n1-standard-32 4 or 8",
    ),
    ({"accelerators": 0}, "--accelerators: got 0"),
    ({"accelerators": -1}, "--accelerators: got -1"),
    ({"accelerators": 17}, "--accelerators: got 17"),
    ({"accelerators": 4, **NO_GPU}, "--accelerators: got 4"),
    ({"accelerators": 3}, "--machine: not given, and there is no default for 3 NVIDIA_L4"),
    ({"workers": 0}, "--workers: got 0"),
    ({"workers": 101}, "--workers: got 101"),
    ({"provisioning": ""}, "--provisioning: got ''"),
    ({"provisioning": "STANDARD"}, "--provisioning: got 'STANDARD'"),
    ({"provisioning": "preemptible"}, "--provisioning: got 'preemptible'"),
    ({"max_run_hours": 0}, "--max_run_hours: got 0"),
    ({"max_run_hours": 721}, "--max_run_hours: got 721"),
    ({"max_run_hours": 169, **FLEX_START}, "--max_run_hours: got 169"),
    ({**NO_GPU, **FLEX_START}, "--accelerator: got ''"),
    ({"accelerator": T4, **FLEX_START}, "--accelerator: got 'NVIDIA_TESLA_T4'"),
    ({"network": "default"}, "--network: got 'default'"),
    ({"network": "projects/p/global/networks/n"}, "--network: got 'projects/p/global/networks/n'"),
    ({"service_account": "me@example.com"}, "--service_account: got 'me@example.com'"),
    ({"service_account": f"{ACCOUNT} --role=x"}, f"--service_account: got '{ACCOUNT} --role=x'"),
    ({"tensorboard": "42"}, "--tensorboard: got '42'"),
    ({"tensorboard": TENSORBOARD}, "--service_account: missing; --tensorboard needs one"),
    (
        {"tensorboard": TENSORBOARD, "region": "us-east4", "service_account": ACCOUNT},
        "--tensorboard: got 'projects/",
    ),
    ({"boot_disk_gb": 10}, "--boot_disk_gb: got 10"),
    ({"boot_disk_gb": 64_001}, "--boot_disk_gb: got 64001"),
    ({"reservation": "mine"}, "--reservation: got 'mine'"),
    ({"reservation": RESERVATION, "region": "us-east4"}, "--reservation: got 'projects/"),
    ({"reservation": RESERVATION, **FLEX_START}, "--reservation: got 'projects/"),
    ({"reservation": RESERVATION, "provisioning": "spot"}, "--reservation: got 'projects/"),
    ({"reservation": RESERVATION, **NO_GPU}, "--reservation: got 'projects/"),
    ({"accelerator": "NVIDIA_GB200", "accelerators": 4}, "--accelerator: got 'NVIDIA_GB200'"),
]


@pytest.mark.parametrize(("changes", "line"), REFUSED)
def test_impossible_option_is_refused_in_one_line(changes, line):
    assert refusal(make_options, **changes).startswith(line)
