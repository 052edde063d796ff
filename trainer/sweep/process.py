"""A trial's run as a process of its own, whose output goes to a log in the workdir of the sweep.

    process = TrialProcess(store, trial, ["python", "-m", "trainer", ...], ended=event)
    process.stop()                  # the run saves and leaves
    process.code()                  # None while it runs

The log is logs/NAME.log, of all starts of the trial one after the other; in a bucket it is a second
or two late.
"""

import contextlib
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Sequence

from storage.errors import UserError
from storage.exit_codes import DONE, RUN_AGAIN
from storage.store import Store
from trainer.sweep.trials import Trial

LOGS = "logs/"
_SECONDS_FOR_LOG = 10.0  # to wait for a bucket


def log_name(trial: Trial) -> str:
    """Returns the name of a trial's log."""
    return f"{LOGS}{trial.name}.log"


class TrialProcess:
    """A run of the trainer."""

    def __init__(self, store: Store, trial: Trial, command: Sequence[str], ended: threading.Event):
        """Starts the command; `ended` is set when its process has ended."""
        self.trial = trial
        self._log = store.open_log(log_name(trial), _before(store, trial), check=lambda: None)
        self._log.append(f"$ {shlex.join(command)}\n".encode())
        self._last_line = ""
        self._process = subprocess.Popen(
            command,
            # Of several machines each has its own trials, so a trial is not one worker of many.
            env={name: value for name, value in os.environ.items() if name != "TF_CONFIG"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # A terminal sends Ctrl-C to all processes of a session; here the sweep forwards it.
            start_new_session=True,
        )
        self._thread = threading.Thread(target=self._relay, args=(ended,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Asks the run to save and leave; a no-op after its end."""
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends the run at once."""
        self._process.kill()

    def code(self) -> int | None:
        """Returns the exit code once the process has ended and its output is in the log."""
        if self._thread.is_alive():
            return None
        return self._process.wait()

    def wait(self, seconds: float) -> bool:
        """Waits for the end; returns False when it has not come."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def failure(self) -> str:
        """Returns in a line why the process has failed, "" when it has not."""
        code = self._process.wait()
        if code in (DONE, RUN_AGAIN):
            return ""
        if code < 0:
            return f"it was ended by {signal.Signals(-code).name}"
        return self._last_line.removeprefix("error: ") or f"it ended with code {code}"

    def _relay(self, ended: threading.Event) -> None:
        """Moves the output into the log; goes on reading when the log fails."""
        is_kept = True
        for line in self._process.stdout or ():
            self._last_line = line.decode(errors="replace").strip() or self._last_line
            if is_kept:
                try:
                    self._log.append(line)
                except UserError:
                    is_kept = False
        self._process.wait()
        with contextlib.suppress(UserError):
            self._log.close(_SECONDS_FOR_LOG)
        ended.set()


def _before(store: Store, trial: Trial) -> bytes:
    """Returns what earlier starts have written."""
    try:
        return store.read(log_name(trial))
    except FileNotFoundError:
        return b""
