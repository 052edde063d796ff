"""The machine types that Vertex AI trains on, their vCPUs and GPUs.

    default("NVIDIA_L4", 4)                             # 'g2-standard-48'
    check("g2-standard-48", "NVIDIA_L4", 4)
    vcpus("g2-standard-48")                             # 48

Source: the service's page "Configure compute resources", whose list of machine types is complete,
as of November 2026. A family that Compute Engine didn't have then is a warning only.
"""

import re
from typing import NamedTuple

from deploy.checks import refusal
from deploy.messages import say
from storage.errors import UserError


class _Machine(NamedTuple):
    vcpus: int
    gpu: str = ""
    gpus: int = 0


def _sizes(series: str, *sizes: int) -> dict[str, _Machine]:
    """Returns machines without GPUs; their vCPUs are part of the name."""
    return {f"{series}-{vcpus}": _Machine(vcpus) for vcpus in sizes}


def _with_gpus(pattern: str, gpu: str, each: int, *counts: int) -> dict[str, _Machine]:
    """Returns machines with `each` vCPUs for every GPU."""
    return {pattern.format(n): _Machine(n * each, gpu, n) for n in counts}


_WIDE = (32, 48, 64, 80)
# Of the machines with the same GPUs the first is the default.
_MACHINES = {
    **{f"g2-standard-{vcpus}": _Machine(vcpus, "NVIDIA_L4", 1) for vcpus in (12, 4, 8, 16, 32)},
    **{f"g2-standard-{12 * n}": _Machine(12 * n, "NVIDIA_L4", n) for n in (2, 4, 8)},
    **{f"g4-standard-{48 * n}": _Machine(48 * n, "NVIDIA_RTX_PRO_6000", n) for n in (1, 2, 4, 8)},
    **_with_gpus("a2-highgpu-{}g", "NVIDIA_TESLA_A100", 12, 1, 2, 4, 8),
    **_with_gpus("a2-megagpu-{}g", "NVIDIA_TESLA_A100", 6, 16),
    **_with_gpus("a2-ultragpu-{}g", "NVIDIA_A100_80GB", 12, 1, 2, 4, 8),
    **_with_gpus("a3-highgpu-{}g", "NVIDIA_H100_80GB", 26, 1, 2, 4, 8),
    **_with_gpus("a3-megagpu-{}g", "NVIDIA_H100_MEGA_80GB", 26, 8),
    **_with_gpus("a3-ultragpu-{}g", "NVIDIA_H200_141GB", 28, 8),
    **_with_gpus("a4-highgpu-{}g", "NVIDIA_B200", 28, 8),
    **_sizes("e2-standard", 8, 4, 16, 32),
    **_sizes("e2-highmem", 2, 4, 8, 16),
    **_sizes("e2-highcpu", 16, 32),
    **_sizes("n1-standard", 4, 8, 16, 32, 64, 96),
    **_sizes("n1-highmem", 2, 4, 8, 16, 32, 64, 96),
    **_sizes("n1-highcpu", 16, 32, 64, 96),
    **_sizes("n2-standard", 4, 8, 16, *_WIDE),
    **_sizes("n2-highmem", 2, 4, 8, 16, *_WIDE),
    **_sizes("n2-highcpu", 16, *_WIDE),
    **_sizes("n4-standard", 2, 4, 8, 16, *_WIDE),
    **_sizes("n4-highmem", 2, 4, 8, 16, *_WIDE),
    **_sizes("n4-highcpu", 2, 4, 8, 16, *_WIDE),
    **_sizes("c2-standard", 4, 8, 16, 30, 60),
    **_sizes("m1-ultramem", 40, 80, 160),
    **_sizes("m1-megamem", 96),
}
_FAMILIES = {machine.partition("-")[0] for machine in _MACHINES}
# The families of Compute Engine, and of TPUs, that are not in the service's list; and a4x, whose
# processors are Arm's, while the image is for x86-64.
_OTHER_FAMILIES = {
    "a4x",
    *("f1", "g1", "t2a", "t2d", "n2d", "n4a", "n4d", "c2d", "c3", "c3d", "c4", "c4a", "c4d", "h3"),
    *("h4d", "z3", "m2", "m3", "m4", "x4", "ct3", "ct3p", "ct4p", "ct5l", "ct5lp", "ct5p", "ct6e"),
    *("tpu7x", "cloud"),
}
_FORM = r"[a-z]{1,3}[0-9]{1,2}[a-z]{0,2}(?:-[a-z0-9]{1,20}){2,4}"


class _Attached(NamedTuple):
    """GPUs of which n1, and no other family, can have some numbers."""

    counts: tuple[int, ...]
    vcpus: int  # that the machine may have for each GPU


_ATTACHED = {
    "NVIDIA_TESLA_T4": _Attached((1, 2, 4), 24),
    "NVIDIA_TESLA_P4": _Attached((1, 2, 4), 24),
    "NVIDIA_TESLA_V100": _Attached((1, 2, 4, 8), 12),
    "NVIDIA_TESLA_P100": _Attached((1, 2, 4), 16),
}
# Four P100 come with 208 GB at most, which is less than these have.
_TOO_LARGE_FOR_P100 = ("n1-standard-64", "n1-highmem-64")


def default(accelerator: str, count: int) -> str:
    """Returns the default machine type with these GPUs. Raises UserError when there is none."""
    if accelerator in _ATTACHED and count in _ATTACHED[accelerator].counts:
        return "n1-standard-8"
    for machine, (_, gpu, gpus) in _MACHINES.items():
        if (gpu, gpus) == (accelerator, count):
            return machine
    raise UserError(
        f"--machine: not given, and there is no default for {count} {accelerator}; give a machine "
        "type that has them, or another number of --accelerators"
    )


def vcpus(machine: str) -> int | None:
    """Returns the vCPUs of a machine type; None for one that is not listed."""
    return _MACHINES[machine].vcpus if machine in _MACHINES else None


def check(machine: str, accelerator: str, count: int) -> None:
    """Raises UserError when a machine type doesn't exist or can't have `count` GPUs of this type.

    An accelerator of "" with a count of 0 is no GPU. A type of a newer family is a warning.
    """
    family = machine.partition("-")[0]
    if family in _OTHER_FAMILIES:
        raise refusal("machine", machine, f"one of the families {', '.join(sorted(_FAMILIES))}")
    if not re.fullmatch(_FORM, machine, re.ASCII):
        raise refusal("machine", machine, "a machine type such as g2-standard-12")
    if family not in _FAMILIES:
        say(f"warning: --machine: {machine} is newer than the list of November 2026, or misspelt")
    elif machine not in _MACHINES:
        raise refusal("machine", machine, _listed(family))
    elif family == "n1" and accelerator:
        _check_attached(machine, accelerator, count)
    elif (has := _MACHINES[machine])[1:] != (accelerator, count):
        its_gpus = f"{has.gpus} x {has.gpu}" if has.gpu else "no GPU"
        raise UserError(
            f"--machine: got {machine!r}, which has {its_gpus}, but --accelerator={accelerator} "
            f"--accelerators={count}; leave --machine out to get the default, or give its own GPUs"
        )


def _check_attached(machine: str, accelerator: str, count: int) -> None:
    if accelerator not in _ATTACHED:
        raise UserError(
            f"--machine: got {machine!r}, which takes {', '.join(_ATTACHED)} and not "
            f"{accelerator}; leave --machine out to get the default for {accelerator}"
        )
    counts, each = _ATTACHED[accelerator]
    accepted = [n for n in counts if n * each >= _MACHINES[machine].vcpus]
    if accelerator.endswith("P100") and machine in _TOO_LARGE_FOR_P100:
        accepted = []
    if count not in accepted:
        numbers = " or ".join(map(str, accepted)) or "a smaller --machine"
        raise refusal("accelerators", count, f"for {accelerator} on {machine} {numbers}")


def _listed(family: str) -> str:
    """Returns the types of a family, such as g2-standard-4 -8 -12, for an error's text."""
    series: dict[str, list[int]] = {}
    for machine in _MACHINES:
        if machine.startswith(f"{family}-"):
            name, _, size = machine.rpartition("-")
            series.setdefault(name, []).append(int(size.removesuffix("g")))
    unit = "g" if family.startswith("a") else ""
    return ", ".join(
        f"{name}-{'|'.join(f'{size}{unit}' for size in sorted(sizes))}"
        for name, sizes in series.items()
    )
