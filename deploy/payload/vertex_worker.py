"""Runs a worker's command on Vertex AI and leaves with an exit code that the service understands.

    python3 -c "$(cat deploy/payload/vertex_worker.py)" COMMAND ARGUMENT ...

By its documentation, not tried, Vertex AI takes exit code 75 for an error that a restart won't mend
and 134 for one that it may, so a command that asks to be run again with 75 leaves with 134. On the
chief LONGHAUL_EXIT_FILE is gs://BUCKET/NAME, where the command's own exit code is kept: when the
service has used up its restarts, a 75 there says that the job can be submitted again.

Its text is sent to a machine that has Python and google-cloud-storage but no code of longhaul.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

RUN_AGAIN = 75  # storage/exit_codes.py is not installed there
TRANSIENT = 134
_EXIT_FILE = "LONGHAUL_EXIT_FILE"
# After SIGTERM there are about 30 seconds, which the command needs for saving.
_SECONDS_FOR_EXIT_FILE = 10.0


def main(*command: str) -> None:
    """Never returns: leaves with the command's exit code, or 134 in place of 75."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    url = os.environ.get(_EXIT_FILE, "")
    if url:
        _within_seconds(f"{url}: not deleted", lambda: _delete(url))
    code = _run(command)
    if url:
        _within_seconds(f"{url}: not written", lambda: _write(url, code))
    _leave(TRANSIENT if code == RUN_AGAIN else code)


def _run(command: Sequence[str]) -> int:
    """Runs the command, forwards signals to it, and returns its exit code as a shell does."""
    child = subprocess.Popen(command)  # noqa: S603 - a list of arguments and no shell
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: child.send_signal(number))
    code = child.wait()
    return code if code >= 0 else 128 - code


def _stop(*_: object) -> None:
    """Leaves before the command has started."""
    _leave(TRANSIENT)


def _leave(code: int) -> None:
    """Ends this process at once: sys.exit waits for threads that the bucket's client may have."""
    os._exit(code)


def _delete(url: str) -> None:
    """Deletes the file of an earlier start."""
    from google.api_core import exceptions

    try:
        _blob(url).delete(timeout=_SECONDS_FOR_EXIT_FILE)
    except exceptions.NotFound:
        return


def _write(url: str, code: int) -> None:
    _blob(url).upload_from_string(f"{code}\n", timeout=_SECONDS_FOR_EXIT_FILE)


def _blob(url: str) -> Any:
    from google.cloud import storage

    bucket, _, name = url.removeprefix("gs://").partition("/")
    return storage.Client(project=None).bucket(bucket).blob(name)


def _within_seconds(failure: str, act: Callable[[], None]) -> None:
    """Does something that may hang or fail, neither of which ends the job: it prints a warning."""
    errors: list[str] = ["no answer"]

    def attempt() -> None:
        try:
            act()
            errors.clear()
        # Whatever it is, the command and its exit code matter more than this file.
        except Exception as error:
            errors[:] = [" ".join(str(error).split())[:300]]

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(_SECONDS_FOR_EXIT_FILE)
    for error in list(errors):
        print(f"warning: {failure} ({error})", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
