"""Targets that hand their jobs to a service with an API: submitting a job, and following it.

remote = target.connect(options)        # of a ServiceTarget, such as vertex
remote.state("imdb-1f0c").text
exit_code = watch(remote, "imdb-1f0c")
"""

import abc
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from deploy.job import Job, check_name
from deploy.jobs import JobPlan, JobTarget, say
from storage import standard_streams
from storage.errors import UserError
from storage.exit_codes import DONE, FAILED, RUN_AGAIN

_SECONDS_BETWEEN_LOOKS = 10.0


class State(NamedTuple):
    """The state of a submitted job."""

    text: str  # in the service's own word, such as JOB_STATE_RUNNING
    over: bool
    succeeded: bool
    detail: str = ""  # the reason, where the service gives one
    taken_away: bool = False  # its machines were taken away for good; it can only be recreated


class Remote(Protocol):
    """A connection to a service. Its methods raise UserError for what a user can correct."""

    def submit(self, job: Job, request: Any) -> str:
        """Submits a job and returns its full name. Raises UserError when the name is taken."""
        ...

    def state(self, name: str) -> State:
        """Returns the state of a job. Raises UserError when there is no such job."""
        ...

    def cancel(self, name: str) -> None:
        """Ends a job for good; a job that is over stays unchanged."""
        ...

    def logs(self, name: str) -> str:
        """Returns what the job has printed so far, or the last part of it."""
        ...

    def recreate(self, job: Job, request: Any) -> str:
        """Makes a job again whose state is `taken_away` and returns its full name."""
        raise UserError(f"{job.name}: this service can't recreate a job; submit it again")


class ServiceTarget(JobTarget):
    """A target that hands its jobs to a service with an API."""

    can_wait = True

    @abc.abstractmethod
    def connect(self, options: Any, workdir: str | None = None) -> Remote:
        """Connects to the service. Raises UserError without credentials.

        The workdir is that of the jobs to follow, for services that keep no record of ended jobs.
        """

    def submit(self, plan: JobPlan, wait: bool, pause: Callable[[float], None] = time.sleep) -> int:
        """Uploads the archive, submits the job, and with `wait` watches it to its end."""
        standard_streams.make_output_optional()
        job = plan.job
        remote = self.connect(plan.options, job.workdir)
        plan.upload()
        print(f"{job.name}: submitted as {remote.submit(job, plan.request)}", flush=True)
        say(*plan.follow_commands())
        if not wait:
            return DONE
        return watch(remote, job.name, lambda: remote.recreate(job, plan.request), pause)

    def follow(self, verb: str, name: str, options: Any, workdir: str | None) -> int:
        """Does what `verb` says with a job. Returns an exit code."""
        check_name(name)
        remote = self.connect(options, workdir)
        if verb == "wait":
            return watch(remote, name)
        if verb == "logs":
            print(remote.logs(name), end="")
            return DONE
        if verb == "cancel":
            remote.cancel(name)
            print(f"{name}: cancelled; its checkpoints are kept")
            return DONE
        state = remote.state(name)
        print(_shown(name, state))
        return FAILED if state.over and not state.succeeded else DONE


def watch(
    remote: Remote,
    name: str,
    recreate: Callable[[], object] | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Prints each new state of a job until the job is over. Returns an exit code.

    `recreate` makes the job again when its machines were taken away for good; without it that is
    the end. Ctrl-C ends only the watching. `pause` sleeps for a number of seconds.
    """
    standard_streams.make_output_optional()  # the exit code says how the job ended
    shown = None
    try:
        while True:
            state = remote.state(name)
            if state != shown:
                print(_shown(name, state), flush=True)
                shown = state
            if state.over:
                return DONE if state.succeeded else FAILED
            if state.taken_away:
                if not recreate:
                    say(
                        f"{name} will not come back; submit it again with --wait, which recreates "
                        "it each time"
                    )
                    return RUN_AGAIN
                print(f"{name}: its machines were taken away; recreating it", flush=True)
                recreate()
            pause(_SECONDS_BETWEEN_LOOKS)
    except KeyboardInterrupt:
        say(f"{name} keeps running; `wait` watches it again, `cancel` ends it")
        return RUN_AGAIN


def _shown(name: str, state: State) -> str:
    return f"{name}: {state.text} {state.detail}".rstrip()
