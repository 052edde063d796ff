"""The body of a request, read within limits.

body = await read(request, config.serving)
"""

import asyncio
import contextlib

import ml_collections
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

_SECONDS_TO_DISCARD, _LONGEST_PAUSE = 3.0, 0.2


async def read(request: Request, limits: ml_collections.ConfigDict) -> bytes:
    """Returns the body of a request; `limits` is config.serving.

    Raises HTTPException: 413 for a body that is too large, 415 for a compressed one, and 408 for
    one that is not complete in time; ClientDisconnect when the client leaves.
    """
    _require_plain(request)
    most, seconds = limits.max_body_bytes, limits.timeout_seconds
    try:
        body = await asyncio.wait_for(_read(request, most), seconds)
    except asyncio.TimeoutError as error:
        message = f"the body: not complete within {seconds:g} seconds"
        raise HTTPException(408, message, {"connection": "close"}) from error
    if body is None:
        await _discard(request)
        raise HTTPException(413, f"the body: at most {most:,} bytes")
    return body


def _require_plain(request: Request) -> None:
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.strip().lower() != "identity":
        accepted = {"accept-encoding": "identity"}
        raise HTTPException(
            415, f"content-encoding: got {encoding[:40]!r}, accepted is none", accepted
        )


async def _read(request: Request, most: int) -> bytes | None:
    """Returns the body, None if it has more than `most` bytes."""
    # The HTTP parser has verified that it is a number.
    if int(request.headers.get("content-length", "0")) > most:
        return None
    body = bytearray()
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > most:
            return None
        if not message.get("more_body"):
            return bytes(body)


async def _discard(request: Request) -> None:
    """Reads what a client goes on to send, for a few seconds or until it pauses.

    A connection that is closed with bytes to read is reset, and the client may lose the answer. A
    client that asks before it sends has sent nothing.
    """
    clock = asyncio.get_running_loop().time
    end, is_more = clock() + _SECONDS_TO_DISCARD, "expect" not in request.headers
    with contextlib.suppress(asyncio.TimeoutError):
        while is_more and clock() < end:
            message = await asyncio.wait_for(request.receive(), _LONGEST_PAUSE)
            is_more = message.get("more_body", False)
