"""Which GPUs a machine type has, to refuse an impossible pair before it is sent.

    default("NVIDIA_L4", 4)                             # 'g2-standard-48'
    check("g2-standard-48", "NVIDIA_L4", 4)

Source: cloud.google.com/vertex-ai/docs/training/configure-compute. A machine type that isn't listed
here, such as a new one, is left to the service to check.
"""

from storage.errors import UserError

# Machine type -> its only GPUs. Of the types with the same GPUs the first is the default.
_GPUS = {
    **{f"g2-standard-{cores}": ("NVIDIA_L4", 1) for cores in (12, 4, 8, 16, 32)},
    "g2-standard-24": ("NVIDIA_L4", 2),
    "g2-standard-48": ("NVIDIA_L4", 4),
    "g2-standard-96": ("NVIDIA_L4", 8),
    **{f"a2-highgpu-{count}g": ("NVIDIA_TESLA_A100", count) for count in (1, 2, 4, 8)},
    "a2-megagpu-16g": ("NVIDIA_TESLA_A100", 16),
    **{f"a2-ultragpu-{count}g": ("NVIDIA_A100_80GB", count) for count in (1, 2, 4, 8)},
    **{f"a3-highgpu-{count}g": ("NVIDIA_H100_80GB", count) for count in (1, 2, 4, 8)},
    "a3-megagpu-8g": ("NVIDIA_H100_MEGA_80GB", 8),
    "a3-ultragpu-8g": ("NVIDIA_H200_141GB", 8),
    "a4-highgpu-8g": ("NVIDIA_B200", 8),
}
_NO_GPU = ("", 0)
_FAMILIES_WITHOUT_GPU = (
    *("e2", "n2", "n2d", "n4", "c2", "c2d", "c3", "c3d", "c4"),
    *("m1", "m2", "m3", "t2d"),
)
_ATTACHING_FAMILY = "n1"  # the only family whose GPUs are chosen separately
_ATTACHED = tuple(f"NVIDIA_TESLA_{name}" for name in ("T4", "P4", "P100", "V100"))


def default(accelerator: str, count: int) -> str:
    """Returns the default machine type with these GPUs. Raises UserError when there is none."""
    if not accelerator:
        return "n1-standard-8"
    for machine, gpus in _GPUS.items():
        if gpus == (accelerator, count):
            return machine
    raise UserError(
        f"--machine: not given, and there is no default for {count} {accelerator}; give a machine "
        "type that has them, or another number of --accelerators"
    )


def check(machine: str, accelerator: str, count: int) -> None:
    """Raises UserError when a known machine type can't have `count` GPUs of this type.

    An accelerator of "" with a count of 0 is no GPU.
    """
    family = machine.partition("-")[0]
    if family == _ATTACHING_FAMILY:
        if accelerator and accelerator not in _ATTACHED:
            raise UserError(
                f"--machine: got {machine!r}, which takes {', '.join(_ATTACHED)} and not "
                f"{accelerator}; leave --machine out to get the default for {accelerator}"
            )
        return
    has = _NO_GPU if family in _FAMILIES_WITHOUT_GPU else _GPUS.get(machine)
    if has and has != (accelerator, count):
        its_gpus = f"{has[1]} x {has[0]}" if has[1] else "no GPU"
        raise UserError(
            f"--machine: got {machine!r}, which has {its_gpus}, but --accelerator={accelerator} "
            f"--accelerators={count}; leave --machine out to get the default, or give its own GPUs"
        )
