"""Machine types and their GPUs."""

import pytest

from tests.deploy.examples import refusal
from tests.deploy.targets.vertex.jobs import make_options


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
        ("z9-standard-8", "NVIDIA_L4", 3),  # a newer type than those listed
    ],
)
def test_machine_that_may_have_the_gpus_is_accepted(machine, accelerator, count):
    given = {"machine": machine, "accelerator": accelerator, "accelerators": count}
    assert make_options(**given).machine == machine
