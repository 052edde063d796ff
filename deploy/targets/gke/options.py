"""The flags of --target=gke, checked and completed.

Options(workers=3, provisioning="spot").pods    # 3
Options(tpu_topology="4x4").pods                # 4
"""

import dataclasses
import math
from typing import Annotated, ClassVar

from deploy.checks import (
    IMAGE,
    IMAGE_HELP,
    PROJECT,
    REGION,
    check_between,
    check_matches,
    fill,
    refusal,
)
from deploy.google_project import project_from_environment
from deploy.targets.gke import gpus, kubectl

ON_DEMAND, SPOT, FLEX_START = PROVISIONING = ("on_demand", "spot", "flex_start")
TPU = "tpu-v5-lite-podslice"  # GKE's name of the TPU v5e
_GPU = "nvidia-l4"
# cloud.google.com/kubernetes-engine/docs/concepts/plan-tpus: a slice of up to 8 chips may be one
# machine; the machines of a larger slice have four chips each.
_CHIPS_OF_ONE_MACHINE, _CHIPS_OF_EACH_OF_SEVERAL = 8, 4
# Cores and memory that a pod asks for. With an accelerator it is what a g2-standard-4, with one L4,
# can give; without one, half of a machine with 4 cores and 16 GB.
_WITH_ACCELERATOR, _WITHOUT = ("3", "12Gi"), ("2", "8Gi")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# Flag -> (the pattern that its value must match, that pattern in words).
TEXTS = {
    "project": (f"(?:{PROJECT})?", "a project's ID, such as my-project-1"),
    "region": (REGION, "a region such as us-central1"),
    "context": (kubectl.CONTEXT, "a context that `kubectl config get-contexts` lists"),
    "namespace": (_LABEL, "a Kubernetes namespace: small letters, digits and '-'"),
    "image": (f"(?:{IMAGE})?", IMAGE_HELP),
    "provisioning": ("|".join(PROVISIONING), ", ".join(PROVISIONING)),
    "reservation": (
        r"(?:[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?)?",
        "the name of a reservation of Compute Engine; '' for none",
    ),
    "tpu_topology": (
        "(?:1x1|2x2|2x4|4x4|4x8|8x8|8x16|16x16)?",
        "1x1, 2x2 or 2x4, slices of one machine, 4x4, 4x8, 8x8, 8x16, 16x16; '' for no TPU",
    ),
    "queue": (f"(?:{_LABEL})?", "the name of a Kueue LocalQueue; '' for none"),
    "service_account": (_LABEL, "a Kubernetes service account: small letters, digits and '-'"),
    "cpu": (r"(?:[1-9]\d{0,2}|[1-9]\d{1,5}m)?", "cores such as 4, or thousandths such as 500m"),
    "memory": (r"(?:[1-9]\d{0,5}[MGT]i)?", "memory such as 16Gi"),
}


@dataclasses.dataclass(frozen=True)
class Options:
    """The flags, with those left out filled in. Raises UserError for one that is not accepted."""

    FULL_NAME: ClassVar[str] = (
        r"(?P<context>\S+)/namespaces/(?P<namespace>[^/\s]+)/jobsets/(?P<name>[^/\s]+)"
    )

    apply: Annotated[bool, "Submit with kubectl, instead of printing the manifest."] = False
    context: Annotated[str, "kubectl's context; with --apply by default the current one."] = ""
    project: Annotated[str, "Project of the image; by default GOOGLE_CLOUD_PROJECT."] = ""
    region: Annotated[str, "Region of the image and of the cluster."] = "us-central1"
    image: Annotated[str, "Container image; by default one in the project's own registry."] = ""
    namespace: Annotated[str, "Kubernetes namespace."] = "default"
    queue: Annotated[str, "Kueue LocalQueue that admits the job; by default none."] = ""
    accelerator: Annotated[
        str | None, f"GPU in GKE's own words, '' for none; by default {_GPU}."
    ] = None
    accelerators: Annotated[int | None, "GPUs of each pod; by default 1 with a GPU."] = None
    workers: Annotated[int, "Pods, each on its own machine."] = 1
    tpu_topology: Annotated[str, "TPU v5e instead of GPUs, such as 2x2; 4x4 is 4 pods."] = ""
    provisioning: Annotated[str, f"One of {', '.join(PROVISIONING)}."] = ON_DEMAND
    reservation: Annotated[str, "Reservation of Compute Engine that the machines are from."] = ""
    service_account: Annotated[str, "Kubernetes service account of the pods."] = "default"
    cpu: Annotated[str, "Cores of each pod; by default 3, or 2 without accelerator."] = ""
    memory: Annotated[str, "Memory of each pod; by default 12Gi, or 8Gi without accelerator."] = ""
    max_restarts: Annotated[
        int, "How often the job is started again after a crash or exit code 75."
    ] = 50
    max_run_hours: Annotated[int, "Hours after which a start ends; each restart has as many."] = 24

    def __post_init__(self) -> None:
        for flag, (pattern, accepted) in TEXTS.items():
            check_matches(flag, getattr(self, flag), pattern, accepted)
        if self.tpu_topology:
            self._check_tpu()
        else:
            self._check_gpus()
        self._check_provisioning()
        check_between("workers", self.workers, 1, 256)
        check_between("max_restarts", self.max_restarts, 0, 1000)
        # A machine of flex-start is taken away after 7 days.
        days = 7 if self.provisioning == FLEX_START else 28
        check_between("max_run_hours", self.max_run_hours, 1, 24 * days, "hours")
        self._fill()

    def _check_tpu(self) -> None:
        for flag in ("accelerator", "accelerators"):
            if given := getattr(self, flag):
                raise refusal(flag, given, "none with --tpu_topology, which has no GPUs")
        if self.workers != 1:
            raise refusal(
                "workers", self.workers, "1 with --tpu_topology, which gives the number of pods"
            )
        fill(self, "accelerator", "")
        fill(self, "accelerators", 0)

    def _check_gpus(self) -> None:
        if self.accelerator is None:
            fill(self, "accelerator", _GPU)
        if self.accelerators is None:
            fill(self, "accelerators", 1 if self.accelerator else 0)
        if self.accelerator:
            gpus.check(self.accelerator, self.gpus)
        elif self.accelerators:
            raise refusal("accelerators", self.accelerators, "0 when there is no --accelerator")

    def _check_provisioning(self) -> None:
        if self.reservation and self.provisioning != ON_DEMAND:
            raise refusal(
                "reservation",
                self.reservation,
                f"'' with --provisioning={self.provisioning}, whose machines are in no reservation",
            )
        if self.provisioning == FLEX_START and not self.has_accelerator:
            raise refusal(
                "provisioning", FLEX_START, "on_demand or spot without GPUs and without a TPU"
            )

    def _fill(self) -> None:
        """Fills in what other flags and this machine's settings give."""
        cpu, memory = _WITH_ACCELERATOR if self.has_accelerator else _WITHOUT
        fill(self, "cpu", self.cpu or cpu)
        fill(self, "memory", self.memory or memory)
        fill(self, "project", project_from_environment(self.project))
        if not self.image and self.project:
            tag = "tf2.20-tpu" if self.tpu_topology else "tf2.21"
            registry = f"{self.region}-docker.pkg.dev/{self.project}"
            fill(self, "image", f"{registry}/longhaul/longhaul:{tag}")
        if self.apply and not self.context:
            fill(self, "context", kubectl.current_context())
            check_matches("context", self.context, *TEXTS["context"])

    @property
    def has_accelerator(self) -> bool:
        """True when the pods have GPUs or chips of a TPU."""
        return bool(self.accelerator or self.tpu_topology)

    @property
    def gpus(self) -> int:
        """The number of GPUs of each pod."""
        return self.accelerators or 0

    @property
    def chips(self) -> int:
        """The number of chips of the TPU slice; 0 without a TPU."""
        return math.prod(map(int, self.tpu_topology.split("x"))) if self.tpu_topology else 0

    @property
    def pods(self) -> int:
        """The number of pods, each of which takes one machine."""
        if self.is_slice_of_several:
            return self.chips // _CHIPS_OF_EACH_OF_SEVERAL
        return self.workers

    @property
    def is_slice_of_several(self) -> bool:
        """True when the job runs on a TPU slice of several machines."""
        return self.chips > _CHIPS_OF_ONE_MACHINE
