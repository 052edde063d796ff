"""Serves HTTP/1.1, also to clients that are slow, stop half-way or send what is not HTTP.

    uvicorn.Config(app, http=functools.partial(Protocol, seconds=10.0, most=512, metrics=metrics))

uvicorn has no time limit for a request's headers, none for a client that does not read its answer,
and none for one that goes on sending after it. What happens between a request's headers and its
answer is limited by the application. A client that closes its side of the connection has left, and
its request is given up: nothing tells one that still reads from one that is gone.
"""

import asyncio
import json
import sys
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from trainer.serving.metrics import UNPARSED, Metrics


class Protocol(H11Protocol):
    """A connection.

    A client has `seconds` to send a request's headers, counted from the start of the connection or
    from the end of the last answer, and to read an answer. Connections above `most` are refused.
    """

    def __init__(self, *args: Any, seconds: float, most: int, metrics: Metrics, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._seconds, self._most, self._metrics = seconds, most, metrics
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the time for the first request's headers."""
        super().connection_made(transport)
        self._limit(self._on_late_request)
        if len(self.connections) > self._most:
            self._refuse(503, "too many connections; try again later")

    def data_received(self, data: bytes) -> None:
        """Ends the time for headers when they are complete."""
        if self.transport.is_closing():  # refused; asyncio may still hand over what had arrived
            return
        super().data_received(data)
        if self._is_answering() and not self.flow.write_paused:
            self._limit(None)

    def on_response_complete(self) -> None:
        """Starts the time for the client to read the answer and send the next request's headers."""
        super().on_response_complete()  # which begins with a pipelined request
        if not self._is_answering():
            self._limit(self._on_late_request)

    def pause_writing(self) -> None:
        """Starts the time for the client to read what is sent to it."""
        super().pause_writing()
        self._limit(self.transport.abort)

    def resume_writing(self) -> None:
        """Ends it, once the client has read."""
        super().resume_writing()
        self._limit(None if self._is_answering() else self._on_late_request)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends all waiting."""
        self._limit(None)
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Refuses what h11 can't parse, with the status code that h11 recommends."""
        error = sys.exc_info()[1]  # uvicorn calls this where it handles the error
        hint = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        self._refuse(hint, f"malformed HTTP request: {str(error or msg)[:200]}")

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _limit(self, action: Any) -> None:
        """Calls `action` in `seconds`, in place of an earlier one; None only cancels that."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = action and self.loop.call_later(self._seconds, action)

    def _on_late_request(self) -> None:
        if self.conn.our_state is h11.IDLE and self.conn.trailing_data[0]:
            self._refuse(408, f"no complete headers within {self._seconds:g} seconds")
        else:
            self._close()

    def _refuse(self, status: int, message: str) -> None:
        """Answers with an error, if that is still possible, and closes the connection."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._metrics.count(UNPARSED, status)
            body = json.dumps({"error": message}).encode()
            headers = [
                *self.server_state.default_headers,
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                (b"connection", b"close"),
                *([(b"retry-after", b"1")] if status == 503 else []),
            ]
            for event in (
                h11.Response(status_code=status, headers=headers, reason=STATUS_PHRASES[status]),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event))
        if self.cycle is not None:  # the application must not answer too
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._close()

    def _close(self) -> None:
        """Closes the connection when the client has read what was sent, or else in `seconds`."""
        self.transport.close()
        self._limit(self.transport.abort)
