"""Which GPUs a machine type has, so that a pair that can't be had is refused before it is sent.

    usual("NVIDIA_L4", 4)                               # 'g2-standard-48'
    check("g2-standard-48", "NVIDIA_L4", 4)

By cloud.google.com/vertex-ai/docs/training/configure-compute. A machine type that isn't listed
here, such as a new one, is left to the service.
"""

from storage.errors import UserError

# Machine type -> its GPUs, which can't be others; of those with the same GPUs the first is usual.
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
_NONE = ("", 0)
_FAMILIES_WITHOUT = (
    "e2",
    "n2",
    "n2d",
    "n4",
    "c2",
    "c2d",
    "c3",
    "c3d",
    "c4",
    "m1",
    "m2",
    "m3",
    "t2d",
)
_ATTACHED_TO = "n1"  # the one family whose GPUs are chosen
_ATTACHED = tuple(f"NVIDIA_TESLA_{name}" for name in ("T4", "P4", "P100", "V100"))


def usual(accelerator: str, count: int) -> str:
    """The machine type with these GPUs; UserError when there is no telling."""
    if not accelerator:
        return "n1-standard-8"
    for machine, gpus in _GPUS.items():
        if gpus == (accelerator, count):
            return machine
    raise UserError(
        f"--machine: not given, and there is no default for {count} {accelerator}; give the "
        "machine type that has them, or another number of --accelerators"
    )


def check(machine: str, accelerator: str, count: int) -> None:
    """UserError when a known machine type can't have so many of these GPUs ('' is none)."""
    family = machine.partition("-")[0]
    if family == _ATTACHED_TO:
        if accelerator and accelerator not in _ATTACHED:
            raise UserError(
                f"--machine: got {machine!r}, which takes {', '.join(_ATTACHED)} and not "
                f"{accelerator}; leave it out for {accelerator}'s own"
            )
        return
    has = _NONE if family in _FAMILIES_WITHOUT else _GPUS.get(machine)
    if has and has != (accelerator, count):
        its_own = f"{has[1]} x {has[0]}" if has[1] else "no GPU"
        raise UserError(
            f"--machine: got {machine!r}, which has {its_own}, but --accelerator={accelerator} "
            f"--accelerators={count}; leave it out for the usual one, or give what it has"
        )
