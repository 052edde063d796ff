"""Rules of Cloud Storage for checksums, preconditions, ranges and listings, as functions.

    check_preconditions(resource, {"ifGenerationMatch": "0"})
    first, size = parse_content_range("bytes 0-262143/*", length=262144)

Queries are the parameters of the JSON API, as text. A function raises Refused for what the service
would refuse.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import google_crc32c

# The size of a chunk is a multiple of this many bytes, except for the last one of an upload.
CHUNK_UNIT = 256 << 10

Checksum = tuple[str, str]  # "crc32c" or "md5", and its value in base64

_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(?:(\d+)|\*)")


class Refused(Exception):
    """A request that the service refuses. `body` is the JSON error of its answer."""

    def __init__(self, status: int, message: str, reason: str):
        super().__init__(message)
        self.status = status
        error = {"message": message, "domain": "global", "reason": reason}
        error = {"code": status, "message": message, "errors": [error]}
        self.body = json.dumps({"error": error}).encode()


def not_implemented(what: str) -> Refused:
    """Returns an answer that nobody can take for one of the real service."""
    return Refused(501, f"tests/fakes/gcs_server.py does not implement {what}.", "notImplemented")


def invalid(message: str) -> Refused:
    """Returns the answer to a request with an invalid value."""
    return Refused(400, message, "invalid")


def checksums_of(data: bytes) -> dict[str, str]:
    """Returns both checksums of bytes, by kind."""
    sums = {
        "md5": hashlib.md5(data, usedforsecurity=False).digest(),
        "crc32c": google_crc32c.value(data).to_bytes(4, "big"),
    }
    return {kind: base64.b64encode(digest).decode() for kind, digest in sums.items()}


def given_checksums(metadata: Mapping[str, Any]) -> list[Checksum]:
    """Returns the checksums that an object's metadata gives for its data."""
    keys = {"md5": "md5Hash", "crc32c": "crc32c"}
    return [(kind, metadata[key]) for kind, key in keys.items() if metadata.get(key)]


def check_preconditions(
    resource: Mapping[str, Any], query: Mapping[str, str], unchanged: int = 412
) -> None:
    """Raises Refused when a precondition fails. An object that doesn't exist has generation 0.

    `unchanged` is the status for a failed "NotMatch".
    """
    for key in ("generation", "metageneration"):
        actual = int(resource.get(key, 0))
        for ending, wanted, status in (("Match", True, 412), ("NotMatch", False, unchanged)):
            expected = query.get(f"if{key.capitalize()}{ending}")
            if expected is None:
                continue
            if not re.fullmatch(r"\d+", expected):
                raise invalid(f"Invalid value for if{key.capitalize()}{ending}: {expected!r}")
            if (int(expected) == actual) != wanted:
                message = "At least one of the pre-conditions you specified did not hold."
                raise Refused(status, message, "conditionNotMet")


def check_name(name: str) -> None:
    """Raises Refused for a name that no object may have."""
    if not name:
        raise Refused(400, "Required", "required")
    if name in (".", "..") or set(name) & set("\r\n") or len(name.encode()) > 1024:
        raise invalid(f"Invalid object name: {name!r}")


def parse_content_range(content_range: str, length: int) -> tuple[int | None, int | None]:
    """Returns a chunk's first byte and the upload's size, each None where the header has `*`.

    `length` is the number of bytes in the request's body.
    """
    match = _CONTENT_RANGE.fullmatch(content_range)
    if not match:
        raise invalid(f"Failed to parse Content-Range header: {content_range!r}")
    first, last, size = (None if part is None else int(part) for part in match.groups())
    end = None if last is None else last + 1
    if length != (0 if first is None else end - first):
        raise invalid(f"Content-Range {content_range!r} does not fit a body of {length} bytes.")
    if None not in (end, size) and end > size:
        raise invalid(f"Content-Range {content_range!r} ends after the upload.")
    if end != size and length % CHUNK_UNIT:
        raise invalid(f"A chunk of {length} bytes, which is not a multiple of {CHUNK_UNIT}.")
    return first, size


def is_selected(name: str, query: Mapping[str, str]) -> bool:
    """Returns True when a listing with this query has the name."""
    start, end = query.get("startOffset", ""), query.get("endOffset", "")
    return (
        name.startswith(query.get("prefix", ""))
        and name.encode() >= start.encode()
        and (not end or name.encode() < end.encode())
    )


def shared_prefix(name: str, query: Mapping[str, str]) -> str | None:
    """Returns the prefix that a listing has in place of the name; None if it has the name itself.

    It has the prefix when a delimiter occurs in the name after the query's prefix.
    """
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    if not delimiter or delimiter not in name[len(prefix) :]:
        return None
    return name[: name.index(delimiter, len(prefix)) + len(delimiter)]
