"""GKE's names of GPUs, how many of each a pod can have, and the quotas they count against.

    check("nvidia-l4", 4)                   # UserError when GKE has no such GPUs
    quota("nvidia-l4", "spot")              # 'PREEMPTIBLE_NVIDIA_L4_GPUS'

By the documentation in 2026-06 (cloud.google.com/kubernetes-engine/docs/concepts/gpus and
cloud.google.com/compute/docs/gpus), not tried. GPUs that come only with Arm processors are left
out, since the image is for x86-64.
"""

import difflib
import re
from collections.abc import Iterable

from deploy.checks import refusal
from deploy.messages import say

# Name -> the largest number of these GPUs in one machine. A pod can have 1, 2, 4 and so on of them.
_LARGEST = {
    "nvidia-l4": 8,
    "nvidia-tesla-t4": 4,
    "nvidia-tesla-a100": 16,
    "nvidia-a100-80gb": 8,
    "nvidia-h100-80gb": 8,
    "nvidia-h100-mega-80gb": 8,
    "nvidia-h200-141gb": 8,
    "nvidia-b200": 8,
    "nvidia-rtx-pro-6000": 8,
    "nvidia-tesla-v100": 8,
    "nvidia-tesla-p100": 4,
    "nvidia-tesla-p4": 4,
}
# Their on-demand quotas are one quota with a value for each of these families.
_FAMILIES = {
    "nvidia-h100-80gb": "NVIDIA_H100",
    "nvidia-h100-mega-80gb": "NVIDIA_H100_MEGA",
    "nvidia-h200-141gb": "NVIDIA_H200",
    "nvidia-b200": "NVIDIA_B200",
    "nvidia-rtx-pro-6000": "NVIDIA_RTX_PRO_6000",
}


def check(name: str, count: int) -> None:
    """Raises UserError unless GKE has pods with `count` GPUs of this name.

    Of a name that is not known and may be newer than this table, it only warns.
    """
    if name in _LARGEST:
        counts = [1 << i for i in range(_LARGEST[name].bit_length())]
        if count not in counts:
            raise refusal("accelerators", count, f"{_either(counts)} with {name}")
        return
    if name.startswith("tpu") or not re.fullmatch(r"nvidia-[a-z0-9-]{1,50}", name, re.ASCII):
        raise refusal("accelerator", name, _accepted(name))
    if not 1 <= count <= 16:
        raise refusal("accelerators", count, "a number from 1 to 16")
    say(f"--accelerator={name}: not a GPU that is known here; known are {_either(_LARGEST)}")


def quota(name: str, provisioning: str) -> str:
    """Returns the quota of Compute Engine that a GPU counts against, in words."""
    family = _FAMILIES.get(name)
    if family and provisioning == "on_demand":
        return f"GPUS_PER_GPU_FAMILY with gpu_family {family}"
    model = name.removeprefix("nvidia-").removeprefix("tesla-").upper().replace("-", "_")
    metric = f"{family or f'NVIDIA_{model}'}_GPUS"
    return metric if provisioning == "on_demand" else f"PREEMPTIBLE_{metric}"


def _accepted(name: str) -> str:
    """Returns what to write instead of a name that is no GPU's."""
    if name.startswith(("tpu-v6", "tpu6", "tpu7")):
        return "none of TPU v6e or later, which TensorFlow does not support; see --tpu_topology"
    if name.startswith("tpu"):
        return "a GPU; a TPU v5e is chosen with --tpu_topology, such as 2x2"
    word = name.lower().replace("_", "-")
    if word in _LARGEST:
        return f"{word}, which is GKE's word; Vertex AI has others, such as NVIDIA_L4"
    near = difflib.get_close_matches(word[:60], _LARGEST, n=1)
    return f"a GPU in GKE's words, such as {near[0] if near else 'nvidia-l4'}; '' for none"


def _either(values: Iterable[object]) -> str:
    *others, last = map(str, values)
    return f"{', '.join(others)} or {last}" if others else last
