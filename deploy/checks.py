"""Checks of the values that flags are given.

    check_matches("region", "us-central1", REGION, "a region such as us-central1")

Values go into requests and scripts, so the whole of each value has to match.
"""

import re

from storage.errors import UserError

PROJECT = r"[a-z][a-z0-9-]{4,28}[a-z0-9]"
GS_FOLDER = (
    r"(?=.{1,600}$)gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](?:/[A-Za-z0-9][A-Za-z0-9._=@+-]*)+"
)
REGION = r"[a-z]{2,20}-[a-z]{2,20}[0-9]{1,2}"
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"  # of the path of an image's name
_DIGEST = r"@sha256:[0-9a-f]{64}"
# A container image's full name. The host has a dot, which tells it from a folder of Docker Hub, or
# is this machine.
IMAGE = (
    r"(?:[a-z0-9][a-z0-9-]*(?:\.[a-z0-9-]+)+|localhost)(?::[0-9]{1,5})?"
    rf"(?:/{_PART})+(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}}(?:{_DIGEST})?|{_DIGEST})"
)
IMAGE_HELP = "HOST/PATH:TAG or HOST/PATH@sha256:DIGEST, such as us-docker.pkg.dev/PROJECT/R/I:TAG"
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
        shown = f"{shown[:_SHOWN]}... ({len(str(value))} characters)"
    return UserError(f"--{flag}: got {shown}, accepted is {accepted}")


def one_line(text: object) -> str:
    """Returns a text with every run of white space replaced by one space."""
    return " ".join(str(text).split())
