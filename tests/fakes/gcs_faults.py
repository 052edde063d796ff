"""Faults that a test can inject into the Cloud Storage fake.

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
    "410": ("The upload session has ended.", "gone"),
    "412": (
        "At least one of the pre-conditions you specified did not hold.",
        "conditionNotMet",
    ),
    "429": ("The rate limit for object mutation operations is exceeded.", "rateLimitExceeded"),
    "500": ("We encountered an internal error. Please try again.", "internalError"),
    "503": ("We encountered an internal error. Please try again.", "backendError"),
}
KINDS = (*ERRORS, "reset", "truncate", "corrupt", "slow", "drop", "pause")


@dataclasses.dataclass(eq=False)
class Fault:
    """A fault of one kind, or of several joined by `+`, and which requests it hits.

    It hits requests whose operation is `operation` and whose name (for a list, the prefix) matches
    the pattern `name`. The first `skip` of them pass, the next `times` are hit.

    401, 403, 404 (no such bucket), 410, 412, 429, 500, 503: the request gets this answer and isn't
        executed. Its body is `body`, by default an error in the documented form.
    reset: the connection is reset: for a download, after half of the data was sent, not all of
        which need arrive; for an upload, after half of it was received; otherwise before the
        answer. The request isn't executed. But the session of a chunk keeps the whole 256 KiB
        blocks that have arrived, since the service may keep any part of a chunk.
    truncate: the connection ends in the middle of the answer's body, or before an answer that has
        no body. The request is executed.
    corrupt: a byte of the data changes in transfer, while the checksums stay those of the original.
        Hits only insert, chunk and download.
    slow: a pause of `seconds` in the middle of a download's body, otherwise before the answer. The
        request is executed.
    drop: no answer. The request is executed.
    pause: the request hangs, and is executed after `release()` even if its client has disconnected.
        `reached` is set when the first one hangs. After the release no request hangs.

    A download that is resumed has other bytes: `truncate` for the first request, then `corrupt`.
    """

    kind: str
    operation: str | None = None
    name: str = ""
    skip: int = 0
    times: float = 1
    seconds: float = 0.0
    body: bytes | None = None
    hits: int = dataclasses.field(default=0, init=False)
    reached: threading.Event = dataclasses.field(default_factory=threading.Event, init=False)
    _released: threading.Event = dataclasses.field(default_factory=threading.Event, init=False)
    _passed: int = dataclasses.field(default=0, init=False)

    def __post_init__(self):
        self.kinds = self.kind.split("+")
        for value, accepted in (
            *((kind, KINDS) for kind in self.kinds),
            (self.operation, (None, *OPERATIONS)),
        ):
            if value not in accepted:
                raise ValueError(f"got {value!r}, but it is one of {accepted}")

    def release(self) -> None:
        """Lets the requests that hang at this fault continue."""
        self._released.set()

    def strikes(self, operation: str, name: str) -> bool:
        """Returns True when a request that has just arrived is to be hit, and counts it."""
        if self.kinds == ["corrupt"] and operation not in _WITH_DATA:
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
        """Waits until the fault is released."""
        self.reached.set()
        self._released.wait()
