"""Names of Google Cloud's regions and zones, checked before anything is sent.

    check_region("region", "us-centrall1")      # warns: not in the list
    check_zone("zone", "us-west4")              # UserError: a region, not a zone

The lists have a date. A well-formed name that is not in them may be newer, so it is a warning only.
"""

import functools

from deploy.checks import REGION, check_matches
from deploy.messages import say

ZONE = rf"{REGION}-[a-z]"
_DATE = "November 2026"
# The regions of Vertex AI: SUPPORTED_REGIONS of google-cloud-aiplatform 2.7.0, without "global".
_REGIONS = frozenset(
    {
        *("africa-south1", "asia-east1", "asia-east2", "asia-northeast1", "asia-northeast2"),
        *("asia-northeast3", "asia-south1", "asia-south2", "asia-southeast1", "asia-southeast2"),
        *("australia-southeast1", "australia-southeast2", "europe-central2", "europe-north1"),
        *("europe-north2", "europe-southwest1", "europe-west1", "europe-west12", "europe-west2"),
        *("europe-west3", "europe-west4", "europe-west6", "europe-west8", "europe-west9"),
        *("me-central1", "me-central2", "me-west1", "northamerica-northeast1"),
        *("northamerica-northeast2", "southamerica-east1", "southamerica-west1", "us-central1"),
        *("us-east1", "us-east4", "us-east5", "us-east7", "us-south1", "us-west1", "us-west2"),
        *("us-west3", "us-west4", "us-west8"),
    }
)
# The zones with TPU v5e. cloud.google.com/tpu/docs/regions-zones lists those of the first line for
# North America, and has listed us-east5 for single customers; the others are known from users.
_TPU_ZONES = frozenset(
    {
        *("us-central1-a", "us-south1-a", "us-west1-c", "us-west4-a"),
        *("us-east5-a", "us-east5-b", "us-east5-c"),
        *("us-east1-c", "europe-west4-b"),
    }
)


def check_region(flag: str, value: str) -> None:
    """Raises UserError unless the value has the form of a region; warns when it isn't known."""
    check_matches(flag, value, REGION, "a region such as us-central1")
    _warn_of_others(flag, value, "regions with Vertex AI", _REGIONS)


def check_zone(flag: str, value: str) -> None:
    """Raises UserError unless the value has the form of a zone; warns when it isn't known."""
    check_matches(flag, value, ZONE, "a zone with TPUs, such as us-west4-a")
    _warn_of_others(flag, value, "zones with TPU v5e", _TPU_ZONES)


@functools.cache  # says it once, however many alternatives there are
def _warn_of_others(flag: str, value: str, what: str, known: frozenset[str]) -> None:
    if value not in known:
        say(
            f"warning: --{flag}: {value} is not among the {what} known in {_DATE}; misspelt, or "
            "newer than that"
        )
