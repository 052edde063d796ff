"""Texts as they arrive at standard input, a line each.

for line in lines(sys.stdin.buffer): ...      # None when nothing more has arrived so far
"""

import os
import select
from collections.abc import Iterator
from typing import BinaryIO

from storage.errors import UserError

_CHUNK = 2**16  # bytes, what a pipe holds
# A sender of few lines waits that much longer for the answers; one of many lines has sent the next
# ones within that time, so that they are predicted together.
_SECONDS_TO_WAIT = 0.05


def lines(stream: BinaryIO) -> Iterator[str | None]:
    """Yields the lines of an open file or pipe; a blank line is a text too.

    Yields None before it waits for more than a moment. Raises UserError when there are no lines,
    when they can't be read, and with its number for a line that is not UTF-8.
    """
    number = 0
    try:
        for line in _lines(stream.fileno()):
            number += line is not None
            yield line if line is None else line.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        yield None
        raise UserError(f"standard input, line {number}: not UTF-8; convert it") from error
    except OSError as error:
        raise UserError(
            f"standard input: can't be read ({error.strerror}); give a review a line, or --text"
        ) from error
    if not number:
        raise UserError("standard input: empty or closed; give a review a line, or --text")


def _lines(descriptor: int) -> Iterator[bytes | None]:
    parts: list[bytes] = []  # of a line that has not ended
    while True:
        if not select.select([descriptor], [], [], _SECONDS_TO_WAIT)[0]:
            yield None
        chunk = os.read(descriptor, _CHUNK)
        *ended, rest = chunk.split(b"\n")
        for line in ended:
            yield b"".join((*parts, line))
            parts = []
        parts.append(rest)
        if not chunk:
            break
    if last := b"".join(parts):
        yield last
