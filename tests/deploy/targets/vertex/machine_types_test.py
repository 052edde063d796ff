"""Machine types, their vCPUs and GPUs."""

import pytest

from deploy.targets.vertex.machine_types import default, vcpus
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
        ("g4-standard-384", "NVIDIA_RTX_PRO_6000", 8),
        ("n1-highmem-16", "NVIDIA_TESLA_T4", 2),
        ("n1-standard-96", "NVIDIA_TESLA_T4", 4),
        ("n1-highcpu-64", "NVIDIA_TESLA_P100", 4),
        ("n1-standard-16", "NVIDIA_TESLA_V100", 2),
        ("n1-standard-8", "", 0),
        ("e2-highcpu-16", "", 0),
    ],
)
def test_machine_with_its_gpus_is_accepted(machine, accelerator, count, capsys):
    given = {"machine": machine, "accelerator": accelerator, "accelerators": count}
    assert make_options(**given).machine == machine
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("machine", "accelerator", "count"),
    [
        ("n1-standard-32", "NVIDIA_TESLA_T4", 1),
        ("n1-standard-16", "NVIDIA_TESLA_V100", 1),
        ("n1-highmem-64", "NVIDIA_TESLA_P100", 4),
        ("n1-highcpu-96", "NVIDIA_TESLA_P100", 4),
        ("n1-standard-8", "NVIDIA_TESLA_T4", 3),
    ],
)
def test_machine_that_is_too_large_for_its_gpus_is_refused(machine, accelerator, count):
    given = {"machine": machine, "accelerator": accelerator, "accelerators": count}
    assert refusal(make_options, **given).startswith(f"--accelerators: got {count}, accepted is")


def test_refusal_lists_the_types_of_the_family():
    line = refusal(make_options, machine="g2-standard-13")
    assert line.endswith("accepted is g2-standard-4|8|12|16|24|32|48|96")
    line = refusal(make_options, machine="a2-highgpu-3g")
    assert "a2-highgpu-1g|2g|4g|8g, a2-megagpu-16g" in line


def test_newer_family_is_a_warning(capsys):
    given = {"machine": "z9-standard-8", "accelerator": "NVIDIA_L4", "accelerators": 3}
    assert make_options(**given).machine == "z9-standard-8"
    assert capsys.readouterr().err.startswith("warning: --machine: z9-standard-8 is newer than")


def test_default_machine_has_the_gpus():
    assert default("NVIDIA_TESLA_V100", 1) == "n1-standard-8"
    assert default("NVIDIA_H200_141GB", 8) == "a3-ultragpu-8g"
    assert default("", 0) == "e2-standard-8"


def test_vcpus_are_known():
    machines = ("n1-highmem-16", "a2-megagpu-16g", "a3-highgpu-1g", "a4-highgpu-8g", "z9-x-8")
    assert [vcpus(machine) for machine in machines] == [16, 96, 26, 224, None]
