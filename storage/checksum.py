"""CRC-32C, the checksum that Cloud Storage keeps for every object (RFC 3720, appendix B.4).

checksum.of(b"...")              # an int
checksum.of_file(path)           # reads the file in parts
checksum.encoded(value)          # as Cloud Storage writes it
"""

import base64
from pathlib import Path

import google_crc32c

_PART = 2**20  # bytes


def of(data: bytes) -> int:
    """Returns the checksum of bytes."""
    return google_crc32c.value(data)


def of_file(path: Path) -> int:
    """Returns the checksum of a file's bytes."""
    value = 0
    with path.open("rb") as file:
        while part := file.read(_PART):
            value = google_crc32c.extend(value, part)
    return value


def encoded(value: int) -> str:
    """Returns the Base64 of the big-endian bytes, the form of an object's `crc32c`.

    Source: https://cloud.google.com/storage/docs/json_api/v1/objects#resource
    """
    return base64.b64encode(value.to_bytes(4, "big")).decode()
