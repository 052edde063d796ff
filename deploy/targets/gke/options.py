"""The flags of --target=gke.

Options(workers=3, spot=True).pods          # 3
Options(tpu_topology="4x4").pods            # 4
"""

import dataclasses
import math

from deploy.checks import PROJECT, REGION, between, fill, matching, refused
from storage.errors import UserError

_GPU, _V5E = "nvidia-l4", "tpu-v5-lite-podslice"
# cloud.google.com/kubernetes-engine/docs/concepts/plan-tpus: slices of up to 8 chips may be one
# machine, the machines of larger ones have four each.
_ONE_MACHINE, _CHIPS_OF_SEVERAL = 8, 4
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# Flag -> (what it may hold, the same in words).
TEXTS = {
    "project": (f"(?:{PROJECT})?", "a project's id, such as my-project-1"),
    "region": (REGION, "a region such as us-central1"),
    "namespace": (_LABEL, "a Kubernetes namespace: small letters, digits and '-'"),
    "image": (
        r"(?:[a-z0-9][A-Za-z0-9._:/@-]{0,254})?",
        "a container image such as us-central1-docker.pkg.dev/PROJECT/longhaul/longhaul:tf2.21",
    ),
    "accelerator": (f"(?:{_LABEL})?", "GKE's name of a GPU, such as nvidia-l4; '' is none"),
    "tpu_accelerator": (
        f"(?:{_V5E}|tpu-v6e-slice)?",
        f"{_V5E} or tpu-v6e-slice",
    ),
    "tpu_topology": (
        "(?:1x1|2x2|2x4|4x4|4x8|8x8|8x16|16x16)?",
        "1x1, 2x2 or 2x4, the slices of one machine, 4x4, 4x8, 8x8, 8x16, 16x16; '' is no TPU",
    ),
    "queue": (f"(?:{_LABEL})?", "the name of a Kueue LocalQueue; '' is none"),
    "service_account": (_LABEL, "a Kubernetes service account: small letters, digits and '-'"),
    "cpu": (r"[1-9]\d{0,2}|[1-9]\d{1,5}m", "cores such as 4, or thousandths such as 500m"),
    "memory": (r"[1-9]\d{0,5}[MGT]i", "memory such as 16Gi"),
}


@dataclasses.dataclass(frozen=True)
class Options:
    """The flags; UserError on one that is not accepted."""

    project: str = ""  # where the image is; GOOGLE_CLOUD_PROJECT unless given
    region: str = "us-central1"  # the same
    image: str = ""
    namespace: str = "default"
    queue: str = ""
    accelerator: str = _GPU  # '' with tpu_topology
    accelerators: int | None = None  # of each pod, by default one where there are any
    workers: int = 1  # pods
    tpu_accelerator: str = ""  # with tpu_topology by default that of a v5e
    tpu_topology: str = ""  # when given, there are no GPUs
    spot: bool = False
    service_account: str = "default"
    cpu: str = "3"  # of each pod, and so is the memory: what g2-standard-4, with one L4, can give
    memory: str = "12Gi"
    max_restarts: int = 10
    max_run_hours: int = 24  # of one start: every restart has as long again

    def __post_init__(self):
        for flag, (pattern, accepted) in TEXTS.items():
            matching(flag, getattr(self, flag), pattern, accepted)
        if self.tpu_topology:
            self._fill_tpu()
        elif self.tpu_accelerator:
            raise UserError("--tpu_topology: missing; --tpu_accelerator needs it, such as 2x2")
        if self.accelerators is None:
            fill(self, "accelerators", 1 if self.accelerator else 0)
        if self.accelerator:
            between("accelerators", self.accelerators, 1, 16)
        elif self.accelerators:
            raise refused("accelerators", self.accelerators, "0 when there is no --accelerator")
        between("workers", self.workers, 1, 256)
        between("max_restarts", self.max_restarts, 0, 1000)
        between("max_run_hours", self.max_run_hours, 1, 24 * 28, "hours")
        if self.tpu_topology and self.workers > 1:
            raise refused("workers", self.workers, "1 with --tpu_topology, which says how many")

    def _fill_tpu(self) -> None:
        for flag, default in (("accelerator", _GPU), ("accelerators", None)):
            given = getattr(self, flag)
            if given not in (default, "", 0):
                raise refused(flag, given, "none with --tpu_topology, which has no GPUs")
        fill(self, "accelerator", "")
        fill(self, "tpu_accelerator", self.tpu_accelerator or _V5E)

    @property
    def chips(self) -> int:
        """Of the TPU slice."""
        return math.prod(map(int, self.tpu_topology.split("x")))

    @property
    def pods(self) -> int:
        """As many as machines."""
        return self.chips // _CHIPS_OF_SEVERAL if self.is_slice_of_several else self.workers

    @property
    def is_slice_of_several(self) -> bool:
        """Whether the job is a TPU slice of several machines."""
        return bool(self.tpu_topology) and self.chips > _ONE_MACHINE
