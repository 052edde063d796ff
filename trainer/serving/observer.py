"""Counts every answer of an application, whatever part of it gives it.

Starlette(middleware=[Middleware(Observer, metrics=Metrics())])
"""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trainer.serving.metrics import Metrics


class Observer:
    """A middleware of an ASGI application. A route's name is that of its function."""

    def __init__(self, app: ASGIApp, metrics: Metrics):
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers as the application does, and counts the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        finally:
            route = getattr(scope.get("endpoint"), "__name__", "other")
            self._metrics.count(route, status, time.perf_counter() - started)
