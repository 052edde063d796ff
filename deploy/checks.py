"""Checks of the values that flags are given.

    check_matches("region", "us-central1", REGION, "a region such as us-central1")

Values go into requests and scripts, so the whole of each value has to match.
"""

import re

from storage.errors import UserError

PROJECT = r"[a-z][a-z0-9-]{4,28}[a-z0-9]"
REGION = r"[a-z]{2,20}-[a-z]{2,20}[0-9]{1,2}"
_SHOWN = 60  # characters of a value that an error repeats


def check_matches(flag: str, value: str, pattern: str, accepted: str) -> None:
    """Raises UserError unless the pattern matches the whole value of --`flag`."""
    if not re.fullmatch(pattern, value, re.ASCII):
        raise refusal(flag, value, accepted)


def check_between(flag: str, value: float, low: float, high: float, unit: str = "") -> None:
    """Raises UserError unless `low` <= value <= `high`."""
    if not low <= value <= high:
        raise refusal(flag, value, f"a number from {low} to {high} {unit}".rstrip())


def fill(options: object, field: str, value: object) -> None:
    """Sets a field of a frozen dataclass from its __post_init__, to complete what was left out."""
    object.__setattr__(options, field, value)


def refusal(flag: str, value: object, accepted: str) -> UserError:
    """Returns the error for a value of --`flag`; its text is one line, whatever the value."""
    shown = ascii(value)
    if len(shown) > _SHOWN:
        shown = f"{shown[:_SHOWN]}... ({len(shown)} characters)"
    return UserError(f"--{flag}: got {shown}, accepted is {accepted}")


def one_line(text: object) -> str:
    """Returns a text with every run of white space replaced by one space."""
    return " ".join(str(text).split())
