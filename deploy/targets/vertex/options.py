"""The flags of --target=vertex, checked and completed.

Options(region="us-central1", accelerators=4).machine       # 'g2-standard-48'
"""

import dataclasses
from typing import Annotated

from deploy.checks import REGION, check_between, check_matches, fill, refusal
from deploy.google_project import PROJECT_HELP, require_project
from deploy.targets.vertex import machine_types
from storage.errors import UserError

_PROVISIONING = ("standard", "spot", "flex_start")
# The GPUs that Dynamic Workload Scheduler offers, which serves flex_start.
_FLEX_START = ("L4", "TESLA_A100", "A100_80GB", "H100_80GB", "H100_MEGA_80GB", "H200_141GB", "B200")
_IMAGE = (
    r"[a-z0-9][a-z0-9.-]{0,99}(?::[0-9]{1,5})?(?:/[a-z0-9][a-z0-9._-]{0,99})+"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
_NETWORK = r"projects/[0-9]{1,20}/global/networks/[a-z][a-z0-9-]{0,62}"
_ACCOUNT = r"[a-z0-9-]{1,63}@[a-z0-9.-]{1,200}\.gserviceaccount\.com"


@dataclasses.dataclass(frozen=True)
class Options:
    """The flags, with the ones left out filled in. Raises UserError for one that isn't accepted."""

    region: Annotated[str, "Region, such as us-central1."]
    project: Annotated[str, PROJECT_HELP] = ""
    image: Annotated[str, "Container image; by default one in the project's own registry."] = ""
    machine: Annotated[str, "Machine type; by default one that has the GPUs."] = ""
    accelerator: Annotated[str, "GPU type; '' for none."] = "NVIDIA_L4"
    accelerators: Annotated[int, "GPUs of each machine."] = 1
    workers: Annotated[int, "Machines."] = 1
    provisioning: Annotated[str, f"One of {', '.join(_PROVISIONING)}."] = "standard"
    max_run_hours: Annotated[int, "Hours after which the job ends."] = 24
    network: Annotated[str, "VPC network, as projects/NUMBER/global/networks/NAME."] = ""
    service_account: Annotated[str, "Service account that the job runs as."] = ""
    tensorboard: Annotated[str, "Full name of a TensorBoard that shows the job's events."] = ""
    boot_disk_gb: Annotated[int, "Size of each machine's disk, in GB."] = 100

    def __post_init__(self) -> None:
        check_matches("region", self.region, REGION, "a region such as us-central1")
        fill(self, "project", require_project(self.project))
        self._check_machines()
        self._check_provisioning()
        self._check_names()

    @property
    def parent(self) -> str:
        """The full name of the location that the jobs belong to."""
        return f"projects/{self.project}/locations/{self.region}"

    def _check_machines(self) -> None:
        if self.accelerator and self.accelerator not in (known := _gpu_types()):
            raise refusal("accelerator", self.accelerator, f"'' or {', '.join(known)}")
        if self.accelerator:
            check_between("accelerators", self.accelerators, 1, 16)
        else:
            unit = "when there is no --accelerator"
            check_between("accelerators", self.accelerators, 0, 1, unit)
            fill(self, "accelerators", 0)
        if not self.machine:
            fill(self, "machine", machine_types.default(self.accelerator, self.accelerators))
        check_matches(
            "machine",
            self.machine,
            r"[a-z][a-z0-9-]{2,58}[a-z0-9]",
            "a machine type such as g2-standard-12",
        )
        machine_types.check(self.machine, self.accelerator, self.accelerators)
        check_between("workers", self.workers, 1, 100)
        check_between("boot_disk_gb", self.boot_disk_gb, 100, 64_000)

    def _check_provisioning(self) -> None:
        if self.provisioning not in _PROVISIONING:
            raise refusal("provisioning", self.provisioning, ", ".join(_PROVISIONING))
        is_flexible = self.provisioning == "flex_start"
        check_between("max_run_hours", self.max_run_hours, 1, 168 if is_flexible else 720, "hours")
        if is_flexible and self.accelerator.removeprefix("NVIDIA_") not in _FLEX_START:
            accepted = ", ".join(f"NVIDIA_{name}" for name in _FLEX_START)
            raise refusal("accelerator", self.accelerator, f"with flex_start {accepted}")

    def _check_names(self) -> None:
        if not self.image:
            registry = f"{self.region}-docker.pkg.dev/{self.project}"
            fill(self, "image", f"{registry}/longhaul/longhaul:tf2.21")
        accepted = "HOST/PATH with :TAG or @sha256:DIGEST, such as the default that --dry_run shows"
        check_matches("image", self.image, _IMAGE, accepted)
        tensorboards = f"projects/{{}}/locations/{self.region}/tensorboards/{{}}"
        for flag, pattern, accepted in (
            ("network", _NETWORK, "projects/NUMBER/global/networks/NAME"),
            ("service_account", _ACCOUNT, "a service account's e-mail address"),
            (
                "tensorboard",
                tensorboards.format("[a-z0-9-]{1,63}", "[0-9]{1,30}"),
                tensorboards.format("PROJECT", "NUMBER"),
            ),
        ):
            if value := getattr(self, flag):
                check_matches(flag, value, pattern, accepted)
        if self.tensorboard and not self.service_account:
            raise UserError(
                "--service_account: missing; --tensorboard needs one that may write to it"
            )


def _gpu_types() -> list[str]:
    """Returns the names of the GPU types that the client library knows."""
    # Imported here, since `--help` must work without this library.
    from google.cloud.aiplatform_v1.types import AcceleratorType

    return [name for name in AcceleratorType.__members__ if name.startswith("NVIDIA_")]
