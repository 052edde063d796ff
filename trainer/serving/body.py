"""The body of a request, read within limits.

body = await read(request, config.serving)
"""

import asyncio

import ml_collections
from starlette.exceptions import HTTPException
from starlette.requests import Request


async def read(request: Request, limits: ml_collections.ConfigDict) -> bytes:
    """Returns the body of a request; `limits` is config.serving.

    Raises HTTPException: 413 for a body that is too large, 415 for a compressed one, and 408 for
    one that is not complete in time; ClientDisconnect when the client leaves.
    """
    _require_plain(request)
    try:
        return await asyncio.wait_for(_read(request, limits.max_body_bytes), limits.timeout_seconds)
    except asyncio.TimeoutError as error:
        message = f"the body: not complete within {limits.timeout_seconds:g} seconds"
        raise HTTPException(408, message, {"connection": "close"}) from error


def _require_plain(request: Request) -> None:
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.strip().lower() != "identity":
        accepted = {"accept-encoding": "identity"}
        raise HTTPException(
            415, f"content-encoding: got {encoding[:40]!r}, accepted is none", accepted
        )


async def _read(request: Request, most: int) -> bytes:
    # The HTTP parser has verified that it is a number.
    if int(request.headers.get("content-length", "0")) > most:
        raise _too_large(most)
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise _too_large(most)
    return bytes(body)


def _too_large(most: int) -> HTTPException:
    return HTTPException(413, f"the body: at most {most:,} bytes")
