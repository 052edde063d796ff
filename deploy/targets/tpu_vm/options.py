"""The flags of --target=tpu_vm, checked and completed.

Options(zone="us-west4-a", accelerator_type="v5litepod-16").chips       # 16
"""

import dataclasses
from typing import Annotated

from deploy.checks import REGION, check_between, check_matches, fill, refusal
from deploy.google_project import PROJECT_HELP, require_project

_CHIPS = (1, 4, 8, 16, 32, 64, 128, 256)  # cloud.google.com/tpu/docs/v5e
_CHIPS_OF_ONE_MACHINE = 8  # at most
_TYPES = {f"v5litepod-{chips}": chips for chips in _CHIPS}
_ZONE = rf"{REGION}-[a-z]"
_IMAGE = r"[a-z0-9](?:[a-z0-9.-]{0,60}[a-z0-9])?"
_NETWORK = r"[a-z][a-z0-9-]{0,62}|projects/[a-z0-9.:-]{1,100}/global/networks/[a-z][a-z0-9-]{0,62}"
_ACCOUNT = r"[a-z0-9-]{1,63}@[a-z0-9.-]{1,200}"


@dataclasses.dataclass(frozen=True)
class Options:
    """The flags. Raises UserError for the first that is not accepted."""

    zone: Annotated[str, "Zone with TPUs, such as us-west4-a."]
    project: Annotated[str, PROJECT_HELP] = ""
    accelerator_type: Annotated[str, "TPU; v5litepod-16 and larger are several machines."] = (
        "v5litepod-4"
    )
    runtime_version: Annotated[str, "Image of the TPU VM."] = "v2-alpha-tpuv5-lite"
    spot: Annotated[bool, "Use a spot TPU, which is cheaper and may be taken away."] = False
    network: Annotated[str, "VPC network; by default the project's."] = ""
    service_account: Annotated[
        str, "Service account that the job runs as; by default the project's."
    ] = ""
    max_run_hours: Annotated[int, "Hours after a machine's first boot when the job ends."] = 24

    def __post_init__(self) -> None:
        check_matches("zone", self.zone, _ZONE, "a zone with TPUs, such as us-west4-a")
        fill(self, "project", require_project(self.project))
        if self.accelerator_type not in _TYPES:
            raise refusal("accelerator_type", self.accelerator_type, ", ".join(_TYPES))
        for flag, pattern, accepted in (
            ("runtime_version", _IMAGE, "an image for TPU VMs, such as v2-alpha-tpuv5-lite"),
            (
                "network",
                f"(?:{_NETWORK})?",
                "a network's name, or projects/PROJECT/global/networks/NAME",
            ),
            (
                "service_account",
                f"(?:{_ACCOUNT})?",
                "an address such as NAME@PROJECT.iam.gserviceaccount.com",
            ),
        ):
            check_matches(flag, getattr(self, flag), pattern, accepted)
        check_between("max_run_hours", self.max_run_hours, 1, 24 * 365, "hours")

    @property
    def parent(self) -> str:
        """The full name of the location that the jobs belong to."""
        return f"projects/{self.project}/locations/{self.zone}"

    @property
    def chips(self) -> int:
        """The number of chips of the whole TPU, each of which is a replica."""
        return _TYPES[self.accelerator_type]

    @property
    def is_slice_of_several(self) -> bool:
        """True when the TPU has several machines."""
        return self.chips > _CHIPS_OF_ONE_MACHINE
