"""What a flag may hold: values go into requests and scripts, so each is looked at as a whole.

matching("region", "us-central1", REGION, "a region such as us-central1")
"""

import re

from storage.errors import UserError

PROJECT = r"[a-z][a-z0-9-]{4,28}[a-z0-9]"
REGION = r"[a-z]{2,20}-[a-z]{2,20}[0-9]{1,2}"
_SHOWN = 60  # characters of a value that an error repeats


def matching(flag: str, value: str, pattern: str, accepted: str) -> None:
    """UserError unless the whole value of --`flag` matches."""
    if not re.fullmatch(pattern, value, re.ASCII):
        raise refused(flag, value, accepted)


def between(flag: str, value: float, low: float, high: float, unit: str = "") -> None:
    """UserError unless the number of --`flag` is in between."""
    if not low <= value <= high:
        raise refused(flag, value, f"a number from {low} to {high} {unit}".rstrip())


def fill(options: object, field: str, value: object) -> None:
    """Completes a frozen dataclass, from its __post_init__: a flag that was left open."""
    object.__setattr__(options, field, value)


def refused(flag: str, value: object, accepted: str) -> UserError:
    """The error of a flag, in one line whatever the value."""
    shown = ascii(value)
    if len(shown) > _SHOWN:
        shown = f"{shown[:_SHOWN]}... ({len(shown)} characters)"
    return UserError(f"--{flag}: got {shown}, accepted is {accepted}")
