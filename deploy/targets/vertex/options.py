"""The flags of --target=vertex, checked and completed.

Options(region="us-central1", accelerators=4).machine       # 'g2-standard-48'
"""

import dataclasses
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
from deploy.google_project import PROJECT_HELP, require_project
from deploy.places import ZONE, check_region
from deploy.targets.vertex import machine_types
from storage.errors import UserError

ON_DEMAND, SPOT, FLEX_START = _PROVISIONING = ("on_demand", "spot", "flex_start")
# The GPUs that Dynamic Workload Scheduler offers, which serves flex_start.
_FLEX_START = ("L4", "TESLA_A100", "A100_80GB", "H100_80GB", "H100_MEGA_80GB", "H200_141GB", "B200")
_ARM = "NVIDIA_GB200"  # its machines have Arm processors, while the image is for x86-64
# The registries that the service pulls from.
_REGISTRY = r"[a-z0-9-]+-docker\.pkg\.dev/.*|(?:(?:us|eu|asia)\.)?gcr\.io/.*|docker\.io/.*"
_NETWORK = r"projects/[0-9]{1,20}/global/networks/[a-z][a-z0-9-]{0,62}"
_ACCOUNT = r"[a-z0-9-]{1,63}@[a-z0-9.-]{1,200}\.gserviceaccount\.com"
_RESERVATION = rf"projects/{PROJECT}/zones/{ZONE}/reservations/[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])?"


@dataclasses.dataclass(frozen=True)
class Options:
    """The flags, with the ones left out filled in. Raises UserError for one that isn't accepted."""

    ALTERNATIVES: ClassVar[tuple[str, ...]] = ("provisioning", "region")
    FULL_NAME: ClassVar[str] = (
        rf"(?P<name>projects/[a-z0-9-]+/locations/(?P<region>{REGION})/customJobs/[0-9]+)"
    )

    region: Annotated[str, "Region, such as us-central1; several are tried in order."]
    project: Annotated[str, PROJECT_HELP] = ""
    image: Annotated[str, "Container image; by default one in the project's own registry."] = ""
    machine: Annotated[str, "Machine type; by default one that has the GPUs."] = ""
    accelerator: Annotated[str, "GPU type; '' for none."] = "NVIDIA_L4"
    accelerators: Annotated[int, "GPUs of each machine."] = 1
    workers: Annotated[int, "Machines."] = 1
    provisioning: Annotated[
        str, f"One of {', '.join(_PROVISIONING)}, or several to be tried in order."
    ] = ON_DEMAND
    reservation: Annotated[
        str, "Reservation of GPU machines, as projects/PROJECT/zones/ZONE/reservations/NAME."
    ] = ""
    max_run_hours: Annotated[int, "Hours after which the job ends."] = 24
    network: Annotated[str, "VPC network, as projects/NUMBER/global/networks/NAME."] = ""
    service_account: Annotated[str, "Service account that the job runs as."] = ""
    tensorboard: Annotated[str, "Full name of a TensorBoard that shows the job's events."] = ""
    boot_disk_gb: Annotated[int, "Size of each machine's disk, in GB."] = 100
    debug_shell: Annotated[
        bool, "Open a shell on each machine; `status` shows its address once the job runs."
    ] = False

    def __post_init__(self) -> None:
        check_region("region", self.region)
        fill(self, "project", require_project(self.project))
        self._check_machines()
        self._check_provisioning()
        self._check_reservation()
        self._check_image()
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
        machine_types.check(self.machine, self.accelerator, self.accelerators)
        check_between("workers", self.workers, 1, 100)
        check_between("boot_disk_gb", self.boot_disk_gb, 100, 64_000, "GB")

    def _check_provisioning(self) -> None:
        if self.provisioning not in _PROVISIONING:
            raise refusal("provisioning", self.provisioning, ", ".join(_PROVISIONING))
        is_flexible = self.provisioning == FLEX_START
        check_between("max_run_hours", self.max_run_hours, 1, 168 if is_flexible else 720, "hours")
        if is_flexible and self.accelerator.removeprefix("NVIDIA_") not in _FLEX_START:
            accepted = ", ".join(f"NVIDIA_{name}" for name in _FLEX_START)
            raise refusal("accelerator", self.accelerator, f"with flex_start {accepted}")

    def _check_reservation(self) -> None:
        if not self.reservation:
            return
        accepted = "projects/PROJECT/zones/ZONE/reservations/NAME"
        check_matches("reservation", self.reservation, _RESERVATION, accepted)
        if self.reservation.split("/")[3].rpartition("-")[0] != self.region:
            raise refusal("reservation", self.reservation, f"one in a zone of {self.region}")
        if self.provisioning != ON_DEMAND or not self.accelerator:
            raise refusal("reservation", self.reservation, "one of GPUs, with on_demand machines")

    def _check_image(self) -> None:
        if not self.image:
            registry = f"{self.region}-docker.pkg.dev/{self.project}"
            fill(self, "image", f"{registry}/longhaul/longhaul:tf2.21")
        check_matches("image", self.image, IMAGE, IMAGE_HELP)
        accepted = "an image on docker.pkg.dev, gcr.io or docker.io, where Vertex AI can pull it"
        check_matches("image", self.image, _REGISTRY, accepted)

    def _check_names(self) -> None:
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
    """Returns the names of the GPU types that the client library knows and the image can use."""
    # Imported here, since `--help` must work without this library.
    from google.cloud.aiplatform_v1.types import AcceleratorType

    names = AcceleratorType.__members__
    return [name for name in names if name.startswith("NVIDIA_") and name != _ARM]
