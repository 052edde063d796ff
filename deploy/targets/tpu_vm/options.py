"""The flags of --target=tpu_vm, checked and completed.

Options(zone="us-west4-a", accelerator_type="v5litepod-16").chips       # 16
"""

import dataclasses
import re
from typing import Annotated, ClassVar

from deploy.checks import GS_FOLDER, REGION, check_between, check_matches, fill, refusal
from deploy.google_project import PROJECT_HELP, require_project
from deploy.places import ZONE, check_zone
from storage.errors import UserError

_CHIPS = (1, 4, 8, 16, 32, 64, 128, 256)  # cloud.google.com/tpu/docs/v5e
_CHIPS_OF_ONE_MACHINE = 8  # at most
_TYPES = {f"v5litepod-{chips}": chips for chips in _CHIPS}
_NO_TENSORFLOW = (
    "TPU v6e and later have no TensorFlow by Vertex AI's documentation (Cloud TPU's differs), and "
    "tensorflow-tpu ends at 2.20"
)
_OTHER_IMAGE = "its types count cores and it needs another image; only v5e is prepared"
# How the types of other TPUs begin -> why they are refused.
_REFUSED = {
    "v5e-": "Cloud TPU names a v5e v5litepod-CHIPS",
    "v6e-|v7|tpu7|ct6e|ironwood": _NO_TENSORFLOW,
    "v[2-4]-|v5p-": _OTHER_IMAGE,
}
_IMAGE = r"[a-z0-9](?:[a-z0-9.-]{0,60}[a-z0-9])?"
_ID = r"[a-z][a-z0-9-]{0,62}"
_NETWORK = rf"{_ID}|projects/[a-z0-9.:-]{{1,100}}/global/networks/{_ID}"
_SUBNETWORK = rf"{_ID}|projects/[a-z0-9.:-]{{1,100}}/regions/{REGION}/subnetworks/{_ID}"
_RESERVATION = rf"{_ID}|projects/[a-z0-9.:-]{{1,100}}/locations/{ZONE}/reservations/{_ID}"
_ACCOUNT = r"[a-z0-9-]{1,63}@[a-z0-9.-]{1,200}"
_CHECKED = {
    "runtime_version": (_IMAGE, "an image for TPU VMs, such as v2-alpha-tpuv5-lite"),
    "reservation": (
        f"(?:{_RESERVATION})?",
        "a reservation's name, or projects/PROJECT/locations/ZONE/reservations/NAME",
    ),
    "network": (
        f"(?:{_NETWORK})?",
        "a network's name, or projects/PROJECT/global/networks/NAME",
    ),
    "subnetwork": (
        f"(?:{_SUBNETWORK})?",
        "a subnetwork's name, or projects/PROJECT/regions/REGION/subnetworks/NAME",
    ),
    "wheels": (f"(?:{GS_FOLDER})?", "a folder of a bucket, such as gs://BUCKET/wheels"),
    "service_account": (
        f"(?:{_ACCOUNT})?",
        "an address such as NAME@PROJECT.iam.gserviceaccount.com",
    ),
}


@dataclasses.dataclass(frozen=True)
class Options:
    """The flags. Raises UserError for the first that is not accepted."""

    # These flags may list several values, one of which each of these Options has.
    ALTERNATIVES: ClassVar[tuple[str, ...]] = ("provisioning", "zone")
    # Of a job, as `submit` prints it.
    FULL_NAME: ClassVar[str] = (
        r"projects/(?P<project>[^/]+)/locations/(?P<zone>[^/]+)/queuedResources/(?P<name>[^/]+)"
    )

    zone: Annotated[str, "Zone with TPUs, such as us-west4-a."]
    project: Annotated[str, PROJECT_HELP] = ""
    accelerator_type: Annotated[str, "TPU; v5litepod-16 and larger are several machines."] = (
        "v5litepod-4"
    )
    runtime_version: Annotated[str, "Image of the TPU VM."] = "v2-alpha-tpuv5-lite"
    provisioning: Annotated[str, "on_demand, or spot, which is cheaper and may be taken away."] = (
        "on_demand"
    )
    reservation: Annotated[str, "Reservation to use."] = ""
    network: Annotated[str, "VPC network; by default the project's."] = ""
    subnetwork: Annotated[str, "Subnetwork; by default the network's."] = ""
    external_ips: Annotated[
        bool, "Give the machines external addresses; without, they need Cloud NAT or --wheels."
    ] = True
    wheels: Annotated[
        str, "Folder gs://BUCKET/PATH with the packages' wheels, for machines without PyPI."
    ] = ""
    service_account: Annotated[
        str, "Service account that the job runs as; by default the project's."
    ] = ""
    max_run_hours: Annotated[int, "Hours after a machine's first boot when the job ends."] = 24
    keep_on_failure: Annotated[
        int, "Hours that the machine of a failed job is kept, and paid for; beyond --max_run_hours."
    ] = 0

    def __post_init__(self) -> None:
        check_zone("zone", self.zone)
        for flag, (pattern, accepted) in _CHECKED.items():
            check_matches(flag, getattr(self, flag), pattern, accepted)
        fill(self, "project", require_project(self.project))
        _check_type(self.accelerator_type)
        self._check_provisioning()
        check_between("max_run_hours", self.max_run_hours, 1, 24 * 365, "hours")
        check_between("keep_on_failure", self.keep_on_failure, 0, 24 * 7, "hours")

    def _check_provisioning(self) -> None:
        if self.provisioning == "flex_start":
            raise UserError(
                "--provisioning: got 'flex_start', which only `gcloud alpha` can ask of Cloud TPU; "
                "accepted is on_demand or spot, and flex_start with --target=gke"
            )
        if self.provisioning not in ("on_demand", "spot"):
            raise refusal("provisioning", self.provisioning, "on_demand or spot")
        if self.reservation and self.provisioning == "spot":
            raise refusal("reservation", self.reservation, "none with --provisioning=spot")

    @property
    def parent(self) -> str:
        """The full name of the location that the jobs belong to."""
        return f"projects/{self.project}/locations/{self.zone}"

    @property
    def reservation_name(self) -> str:
        """The full name of the reservation; "" without one."""
        if not self.reservation or "/" in self.reservation:
            return self.reservation
        return f"{self.parent}/reservations/{self.reservation}"

    @property
    def chips(self) -> int:
        """The number of chips of the whole TPU, each of which is a replica."""
        return _TYPES[self.accelerator_type]

    @property
    def is_slice_of_several(self) -> bool:
        """True when the TPU has several machines."""
        return self.chips > _CHIPS_OF_ONE_MACHINE


def _check_type(name: str) -> None:
    if name in _TYPES:
        return
    reasons = (reason for start, reason in _REFUSED.items() if re.match(start, name, re.IGNORECASE))
    accepted = ", ".join(_TYPES)
    if reason := next(reasons, None):
        accepted += f"; {reason}"
    raise refusal("accelerator_type", name, accepted)
