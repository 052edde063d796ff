"""Refuses requests that were sent to another name than the server's.

    Starlette(middleware=[Middleware(HostCheck, hosts=("localhost", "127.0.0.1"))])

A web page can let a name of its own point to a loopback address (DNS rebinding); the browser then
takes the server for a part of the page's site and lets it read the answers.
"""

import contextlib
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class HostCheck:
    """A middleware of an ASGI application; `hosts` are the accepted names, () accepts all."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str]):
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers as the application does, or with 400."""
        app = self._app
        if scope["type"] == "http" and self._hosts:
            host = Headers(scope=scope).get("host", "")
            if _name(host) not in self._hosts:
                message = f"host: got {host[:100]!r}, accepted are {', '.join(self._hosts)}"
                app = JSONResponse({"error": message}, 400)
        await app(scope, receive, send)


def _name(host: str) -> str | None:
    """Returns the name of a Host header without port and brackets; None of a malformed one."""
    with contextlib.suppress(ValueError):
        return urlsplit(f"//{host}").hostname
    return None
