"""CRC-32C, the checksum that Cloud Storage keeps for every object (RFC 3720, appendix B.4).

checksum.of(b"...")              # an int
checksum.of_file(path)           # reads the file in parts
checksum.encoded(value)          # as Cloud Storage writes it
checksum.sha256(file)            # for where files must not be confused
"""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import google_crc32c

_PART = 2**20  # bytes


def of(data: bytes) -> int:
    """Returns the checksum of bytes."""
    return google_crc32c.value(data)


def of_file(path: Path) -> int:
    """Returns the checksum of a file's bytes."""
    value = 0
    with path.open("rb") as file:
        for part in _parts(file):
            value = google_crc32c.extend(value, part)
    return value


def sha256(file: IO[bytes], start: bytes = b"") -> bytes:
    """Returns the SHA-256 of `start` and of what an open file holds from its position on."""
    digest = hashlib.sha256(start)
    for part in _parts(file):
        digest.update(part)
    return digest.digest()


def _parts(file: IO[bytes]) -> Iterator[bytes]:
    while part := file.read(_PART):
        yield part


def encoded(value: int) -> str:
    """Returns the Base64 of the big-endian bytes, the form of an object's `crc32c`.

    Source: https://cloud.google.com/storage/docs/json_api/v1/objects#resource
    """
    return base64.b64encode(value.to_bytes(4, "big")).decode()
