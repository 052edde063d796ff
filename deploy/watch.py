"""Watches a submitted job to its end, and submits it again when it has lost its machines.

exit_code = Watch(remote, "imdb-1f0c", Waiting(resubmits=10), bounded=False).run()
"""

import time
from collections.abc import Callable

from deploy.messages import say
from deploy.remote import LogReader, Remote, Unreachable
from deploy.targets.target import State, Waiting
from storage import standard_streams
from storage.errors import UserError
from storage.exit_codes import DONE, FAILED, RUN_AGAIN

SECONDS_BETWEEN_LOOKS = 10.0


class Watch:
    """Prints each new state of a job, and its log, until the job is over."""

    def __init__(
        self,
        remote: Remote,
        name: str,
        waiting: Waiting,
        bounded: bool,
        pause: Callable[[float], None] = time.sleep,
    ):
        """With `bounded`, the job may wait for machines for `waiting.try_minutes` only."""
        self._remote, self._name, self._pause = remote, name, pause
        self._resubmits = self._resubmits_left = waiting.resubmits
        self._is_resubmitting = False
        self._bounded, self._seconds_left = bounded, waiting.try_minutes * 60.0
        self._shown: State | None = None
        self._log: LogReader | None = None
        self._log_is_readable = True

    def run(self) -> int | None:
        """Returns an exit code, or None when a bounded job got no machines.

        Ctrl-C ends only the watching.
        """
        standard_streams.make_output_optional()  # the exit code says how the job ended
        try:
            while True:
                state = self._look()
                if self._bounded and self._is_without_machines(state):
                    return None
                if state.taken_away:
                    if not self._resubmits_left:
                        return self._give_up()
                    self._resubmit()
                elif state.over:
                    return self._end(state)
                self._pause(SECONDS_BETWEEN_LOOKS)
        except KeyboardInterrupt:
            if self._is_resubmitting:
                say(f"{self._name}: stopped while it was submitted again; see `status`")
            else:
                say(f"{self._name} keeps running; `wait` watches it again, `cancel` ends it")
            return RUN_AGAIN

    def _end(self, state: State) -> int:
        """Prints the last lines of the log, which may come late, and returns the exit code."""
        if self._log is not None:
            self._pause(SECONDS_BETWEEN_LOOKS)
            self._print_log()
        if state.no_capacity:
            return RUN_AGAIN
        return DONE if state.succeeded else FAILED

    def _look(self) -> State:
        """Returns the state, and prints what is new of it and of the log."""
        state = self._ask()
        if state != self._shown:
            print(shown(self._name, state), flush=True)
            self._shown = state
        if not state.waiting:
            self._print_log()
        return state

    def _ask(self) -> State:
        """Returns the state; waits for a service that does not answer once it has shown the job."""
        has_answered = True
        while True:
            try:
                return self._remote.state(self._name)
            except Unreachable as error:
                if self._shown is None:
                    raise
                if has_answered:
                    say(f"{self._name}: no answer, trying again until there is one ({error})")
                has_answered = False
            self._pause(SECONDS_BETWEEN_LOOKS)

    def _print_log(self) -> None:
        if not self._log_is_readable:
            return
        try:
            self._log = self._log or self._remote.log(self._name, None)
            for line in self._log.read():
                print(line, flush=True)
        except UserError as error:  # the job goes on
            self._log_is_readable = False
            say(f"{self._name}: its log can't be shown: {error}")

    def _is_without_machines(self, state: State) -> bool:
        if state.no_capacity:
            return True
        if state.waiting:
            self._seconds_left -= SECONDS_BETWEEN_LOOKS
        return self._seconds_left < 0

    def _resubmit(self) -> None:
        self._resubmits_left -= 1
        number = self._resubmits - self._resubmits_left
        print(
            f"{self._name}: its machines were taken away; submitting it again, {number} of "
            f"{self._resubmits} times",
            flush=True,
        )
        self._is_resubmitting = True
        self._remote.recreate(self._name)
        self._is_resubmitting = False
        self._log = None

    def _give_up(self) -> int:
        say(
            f"{self._name}: its machines were taken away, and it was submitted again "
            f"{self._resubmits} times; `wait` with --resubmits goes on, and the run resumes"
        )
        return RUN_AGAIN


def shown(name: str, state: State) -> str:
    """Returns a job's state as one line."""
    return f"{name}: {state.described}"
