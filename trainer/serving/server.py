"""The HTTP server: a socket, an application, and how it stops.

with bound_socket("127.0.0.1", 8501) as listener:
    metrics = Metrics()
    app = application(model, "longhaul", limits, metrics, allowed_hosts("127.0.0.1"))
    url = listen(listener, "127.0.0.1")
    Server(app, limits, metrics, stop).serve_on(listener, lambda: print(url))
"""

import contextlib
import functools
import ipaddress
import math
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ml_collections
import uvicorn
from starlette.applications import Starlette

from storage.errors import UserError
from trainer.machines.preemption import Stopped, StopRequests
from trainer.serving.metrics import Metrics
from trainer.serving.protocol import Protocol

_CONNECTIONS_PER_REQUEST = 2  # idle ones are kept open for their next request
_SECONDS_TO_CANCEL = 1
# What a browser may do with the page: load its own files and nothing else. Figures carry styles.
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; connect-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Server(uvicorn.Server):
    """A uvicorn server that stops when the process is asked to; `limits` is config.serving.

    It finishes the requests that it has begun, which `timeout_seconds` bounds.
    """

    def __init__(
        self,
        app: Starlette,
        limits: ml_collections.ConfigDict,
        metrics: Metrics,
        stop: StopRequests,
    ):
        protocol: Any = functools.partial(
            Protocol,
            seconds=limits.timeout_seconds,
            most=_CONNECTIONS_PER_REQUEST * limits.max_requests,
            metrics=metrics,
        )
        config = uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            lifespan="on",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            headers=list(_HEADERS.items()),
            timeout_graceful_shutdown=math.ceil(limits.timeout_seconds) + _SECONDS_TO_CANCEL,
        )
        super().__init__(config)
        self._app, self._stop = app, stop
        self._on_start: Callable[[], None] = lambda: None

    def serve_on(self, listener: socket.socket, on_start: Callable[[], None]) -> None:
        """Serves until the process is asked to stop; calls `on_start` once it accepts requests."""
        self._on_start = on_start
        with contextlib.suppress(Stopped), self._stop.deferred():
            self.run([listener])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts, and tells."""
        await super().startup(sockets)
        self._on_start()

    async def on_tick(self, counter: int) -> bool:
        """Returns True, within 0.1 seconds, when the process is asked to stop."""
        with contextlib.suppress(Stopped):
            self._stop.check()
            return await super().on_tick(counter)
        return True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops, and tells those that ask."""
        self._app.state.is_ready = False
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the signals to StopRequests."""
        yield


@contextlib.contextmanager
def bound_socket(host: str, port: int) -> Iterator[socket.socket]:
    """Opens a socket that has the address already, and refuses connections until it listens.

    Raises UserError when the address is unknown, taken or not allowed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # Without the protocol's number asyncio doesn't set TCP_NODELAY on connections, and the
        # second part of each answer waits for 40 ms.
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise _unusable(host, port, error) from error
    with listener:
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError as error:
            raise _unusable(host, port, error) from error
        yield listener


def listen(listener: socket.socket, host: str) -> str:
    """Makes a bound socket accept connections; returns its URL. Raises UserError when it can't."""
    port = listener.getsockname()[1]
    try:
        listener.listen(socket.SOMAXCONN)
    except OSError as error:  # another process was faster
        raise _unusable(host, port, error) from error
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def is_loopback(host: str) -> bool:
    """Returns True for an address that other machines can't reach."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def allowed_hosts(host: str) -> Sequence[str]:
    """Returns the names that a server on an address accepts, see HostCheck; () for all."""
    return ("localhost", "127.0.0.1", "::1", host) if is_loopback(host) else ()


def _unusable(host: str, port: int, error: Exception) -> UserError:
    reason = getattr(error, "strerror", None) or str(error)
    return UserError(
        f"--host and --port: can't serve at {host}, port {port} ({reason}); give another --port, "
        "0 for a free one, or an address of this machine"
    )
