"""What can go wrong at tests/gcs_server.py, told to it in advance.

fault = server.inject(Fault("pause", "insert", name="manifest"))
fault.reached.wait()        # a request has arrived and hangs
fault.release()
"""

import dataclasses
import re
import threading

OPERATIONS = (
    *("bucket", "list", "download", "get", "delete"),
    *("insert", "start", "chunk", "cancel"),
)
_WITH_DATA = ("insert", "chunk", "download")
# Kind -> message and reason, where the fault is the answer of that status.
ERRORS = {
    "401": ("Invalid Credentials", "authError"),
    "403": ("The caller does not have storage access to the bucket.", "forbidden"),
    "404": ("The specified bucket does not exist.", "notFound"),
    "429": ("The rate limit for object mutation operations is exceeded.", "rateLimitExceeded"),
    "500": ("We encountered an internal error. Please try again.", "internalError"),
    "503": ("We encountered an internal error. Please try again.", "backendError"),
}
KINDS = (*ERRORS, "reset", "truncate", "corrupt", "slow", "drop", "pause")


@dataclasses.dataclass(eq=False)
class Fault:
    """What goes wrong, with the requests whose operation is `operation` and whose name (the prefix
    of a list) has the pattern `name`: `skip` of them pass, the next `times` are hit.

    401, 403, 404 (no such bucket), 429, 500, 503: that answer; the operation isn't executed.
    reset: the connection is reset when a download has sent its first half, of which not all need
        arrive, or an upload has received its own, otherwise before the answer. The operation isn't
        executed, but the whole 256 KiB blocks of a chunk that have come stay in the session: the
        service may keep any part of a chunk.
    truncate: the answer's body ends at its half, that without a body before it begins; executed.
    corrupt: a byte of the data is another one, on the way in or out; only for insert, chunk and
        download, and the checksums are those of the right data.
    slow: waits `seconds` in the middle of a download's body, otherwise before the answer; executed.
    drop: no answer; executed.
    pause: the request has arrived and isn't executed until `release()`, even when its client is
        dead by then; `reached` is set as soon as one hangs. Nothing waits after a release.
    """

    kind: str
    operation: str | None = None
    name: str = ""
    skip: int = 0
    times: float = 1
    seconds: float = 0.0
    hits: int = dataclasses.field(default=0, init=False)
    reached: threading.Event = dataclasses.field(default_factory=threading.Event, init=False)
    _released: threading.Event = dataclasses.field(default_factory=threading.Event, init=False)
    _passed: int = dataclasses.field(default=0, init=False)

    def __post_init__(self):
        for field, accepted in (("kind", KINDS), ("operation", (None, *OPERATIONS))):
            if (value := getattr(self, field)) not in accepted:
                raise ValueError(f"{field}: got {value!r}, but it is one of {accepted}")

    def release(self) -> None:
        """Lets the requests go on that hang here."""
        self._released.set()

    def strikes(self, operation: str, name: str) -> bool:
        """True when a request that has just arrived is to be hit; counts it."""
        if self.kind == "corrupt" and operation not in _WITH_DATA:
            return False
        if self.operation not in (None, operation) or not re.search(self.name, name):
            return False
        if self._passed < self.skip:
            self._passed += 1
            return False
        if self.hits >= self.times:
            return False
        self.hits += 1
        return True

    def hang(self) -> None:
        """Waits for the release."""
        self.reached.set()
        self._released.wait()
