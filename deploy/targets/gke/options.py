"""The flags of --target=gke, checked and completed.

Options(workers=3, spot=True).pods          # 3
Options(tpu_topology="4x4").pods            # 4
"""

import dataclasses
import math
from typing import Annotated

from deploy.checks import PROJECT, REGION, check_between, check_matches, fill, refusal
from storage.errors import UserError

_GPU, _V5E = "nvidia-l4", "tpu-v5-lite-podslice"
# cloud.google.com/kubernetes-engine/docs/concepts/plan-tpus: a slice of up to 8 chips may be one
# machine; the machines of a larger slice have four chips each.
_CHIPS_OF_ONE_MACHINE, _CHIPS_OF_EACH_OF_SEVERAL = 8, 4
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# Flag -> (the pattern that its value must match, that pattern in words).
TEXTS = {
    "project": (f"(?:{PROJECT})?", "a project's ID, such as my-project-1"),
    "region": (REGION, "a region such as us-central1"),
    "namespace": (_LABEL, "a Kubernetes namespace: small letters, digits and '-'"),
    "image": (
        r"(?:[a-z0-9][A-Za-z0-9._:/@-]{0,254})?",
        "a container image such as us-central1-docker.pkg.dev/PROJECT/longhaul/longhaul:tf2.21",
    ),
    "accelerator": (f"(?:{_LABEL})?", "GKE's name of a GPU, such as nvidia-l4; '' for none"),
    "tpu_accelerator": (
        f"(?:{_V5E}|tpu-v6e-slice)?",
        f"{_V5E} or tpu-v6e-slice",
    ),
    "tpu_topology": (
        "(?:1x1|2x2|2x4|4x4|4x8|8x8|8x16|16x16)?",
        "1x1, 2x2 or 2x4, slices of one machine, 4x4, 4x8, 8x8, 8x16, 16x16; '' for no TPU",
    ),
    "queue": (f"(?:{_LABEL})?", "the name of a Kueue LocalQueue; '' for none"),
    "service_account": (_LABEL, "a Kubernetes service account: small letters, digits and '-'"),
    "cpu": (r"[1-9]\d{0,2}|[1-9]\d{1,5}m", "cores such as 4, or thousandths such as 500m"),
    "memory": (r"[1-9]\d{0,5}[MGT]i", "memory such as 16Gi"),
}


@dataclasses.dataclass(frozen=True)
class Options:
    """The flags. Raises UserError for one that is not accepted."""

    project: Annotated[str, "Project of the image; by default GOOGLE_CLOUD_PROJECT."] = ""
    region: Annotated[str, "Region of the image and of the cluster."] = "us-central1"
    image: Annotated[str, "Container image; by default one in the project's own registry."] = ""
    namespace: Annotated[str, "Kubernetes namespace."] = "default"
    queue: Annotated[str, "Kueue LocalQueue that admits the job; by default none."] = ""
    accelerator: Annotated[str, "GPU in GKE's own words; '' for none."] = _GPU
    accelerators: Annotated[int | None, "GPUs of each pod; by default 1 with a GPU."] = None
    workers: Annotated[int, "Pods, each on its own machine."] = 1
    tpu_accelerator: Annotated[str, f"TPU; by default {_V5E} with --tpu_topology."] = ""
    tpu_topology: Annotated[str, "TPU slice instead of GPUs, such as 2x2; 4x4 is 4 pods."] = ""
    spot: Annotated[bool, "Use spot machines, which are cheaper and may be taken away."] = False
    service_account: Annotated[str, "Kubernetes service account of the pods."] = "default"
    # The defaults of these two are what a g2-standard-4, with one L4, can give.
    cpu: Annotated[str, "Cores of each pod."] = "3"
    memory: Annotated[str, "Memory of each pod."] = "12Gi"
    max_restarts: Annotated[int, "How often the job is started again after a crash."] = 10
    max_run_hours: Annotated[int, "Hours after which a start ends; each restart has as many."] = 24

    def __post_init__(self) -> None:
        for flag, (pattern, accepted) in TEXTS.items():
            check_matches(flag, getattr(self, flag), pattern, accepted)
        if self.tpu_topology:
            self._fill_tpu()
        elif self.tpu_accelerator:
            raise UserError("--tpu_topology: missing; --tpu_accelerator needs it, such as 2x2")
        if self.accelerators is None:
            fill(self, "accelerators", 1 if self.accelerator else 0)
        if self.accelerator:
            check_between("accelerators", self.gpus, 1, 16)
        elif self.accelerators:
            raise refusal("accelerators", self.accelerators, "0 when there is no --accelerator")
        check_between("workers", self.workers, 1, 256)
        check_between("max_restarts", self.max_restarts, 0, 1000)
        check_between("max_run_hours", self.max_run_hours, 1, 24 * 28, "hours")
        if self.tpu_topology and self.workers > 1:
            raise refusal(
                "workers", self.workers, "1 with --tpu_topology, which gives the number of pods"
            )

    def _fill_tpu(self) -> None:
        for flag, default in (("accelerator", _GPU), ("accelerators", None)):
            given = getattr(self, flag)
            if given not in (default, "", 0):
                raise refusal(flag, given, "none with --tpu_topology, which has no GPUs")
        fill(self, "accelerator", "")
        fill(self, "tpu_accelerator", self.tpu_accelerator or _V5E)

    @property
    def gpus(self) -> int:
        """The number of GPUs of each pod."""
        return self.accelerators or 0

    @property
    def chips(self) -> int:
        """The number of chips of the TPU slice."""
        return math.prod(map(int, self.tpu_topology.split("x")))

    @property
    def pods(self) -> int:
        """The number of pods, each of which takes one machine."""
        if self.is_slice_of_several:
            return self.chips // _CHIPS_OF_EACH_OF_SEVERAL
        return self.workers

    @property
    def is_slice_of_several(self) -> bool:
        """True when the job runs on a TPU slice of several machines."""
        return bool(self.tpu_topology) and self.chips > _CHIPS_OF_ONE_MACHINE
