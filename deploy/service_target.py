"""Targets that hand their jobs to a service: submitting a job, and following it.

exit_code = target.submit(plan, Waiting())      # of a ServiceTarget, such as vertex
exit_code = target.follow(Following("logs", "imdb-1f0c"), options)
"""

import abc
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from deploy.job import LONGEST_NAME
from deploy.jobs import Attempt, JobPlan, JobTarget
from deploy.messages import say
from deploy.remote import QuotaExhausted, Remote
from deploy.targets.target import Following, Listed, Waiting
from deploy.watch import SECONDS_BETWEEN_LOOKS, Watch, shown
from storage import standard_streams
from storage.errors import UserError
from storage.exit_codes import DONE, FAILED, RUN_AGAIN

_LOOKS_FOR_THE_END = 90  # at a job that was cancelled; 15 minutes


class ServiceTarget(JobTarget):
    """A target that hands its jobs to a service with an API."""

    @abc.abstractmethod
    def connect(self, options: Any, workdir: str | None = None) -> Remote:
        """Connects to the service. Raises UserError without credentials.

        The workdir is that of the jobs to follow, for services that keep no record of ended jobs.
        """

    def can_wait(self, options: Any) -> bool:
        """Returns True: the service knows when a job is over."""
        return True

    def submit(
        self,
        plan: JobPlan,
        waiting: Waiting | None,
        pause: Callable[[float], None] = time.sleep,
    ) -> int:
        """Uploads the archive, submits the job, and unless `waiting` is None watches it."""
        standard_streams.make_output_optional()
        remotes = [self.connect(attempt.options, plan.job.workdir) for attempt in plan.attempts]
        plan = plan.renamed(_free_name(remotes, plan.job.name))
        plan.upload()
        for remote, attempt in zip(remotes, plan.attempts, strict=True):
            bounded = len(remotes) > 1
            try:
                _send(remote, plan, attempt)
            except QuotaExhausted as error:
                if not bounded:
                    raise
                say(f"{error} ({attempt.place})")
                continue
            if waiting is None:
                return DONE
            code = Watch(remote, plan.job.name, waiting, bounded, pause).run()
            if code is not None:
                return code
            _withdraw(remote, plan.job.name, attempt, pause)
        say(f"{plan.job.name}: no machines at any of these places; run the same command later")
        return RUN_AGAIN

    def follow(self, following: Following, options: Any) -> int:
        """Does what the verb says with a job. Returns an exit code."""
        name = following.name
        remote = self.connect(options, following.workdir)
        if following.verb == "wait":
            code = Watch(remote, name, following.waiting, False).run()
            return FAILED if code is None else code
        if following.verb == "logs":
            return _print_log(remote, following)
        if following.verb in ("cancel", "delete"):
            end, ended = {
                "cancel": (remote.cancel, "cancelled"),
                "delete": (remote.delete, "deleted"),
            }[following.verb]
            end(name)
            print(f"{name}: {ended}; its checkpoints are kept")
            return DONE
        state, link = remote.state(name), remote.link(name)
        print("\n".join(filter(None, [shown(name, state), link])))
        return FAILED if state.over and not state.succeeded else DONE

    def jobs(self, options: Any, known: Mapping[str, str]) -> list[Listed]:
        """Returns the jobs that the service lists, and of the known ones those that it finds."""
        jobs = self.connect(options).jobs()
        for name in [*known][::-1]:
            is_listed = any(job.name == name for job in jobs)
            if not is_listed and (state := self.connect(options, known[name]).find(name)):
                jobs.append(Listed(name, state, None))
        return jobs


def _free_name(remotes: Sequence[Remote], name: str) -> str:
    """Returns the name, with a number behind it when jobs of that name are over.

    Raises UserError when one of them is not.
    """
    candidate, number = name, 1
    while states := [state for remote in remotes if (state := remote.find(candidate))]:
        for state in states:
            if not state.over:
                raise UserError(
                    f"--name: {shown(candidate, state)}: that job is not over; follow it with "
                    "`wait`, end it with `cancel`, or give another --name"
                )
        number += 1
        candidate = f"{name}-{number}"
        if len(candidate) > LONGEST_NAME:
            raise UserError(
                f"--name: got {name}, whose job is over, and {candidate} would be too long for the "
                "next one; give another name"
            )
    if number > 1:
        say(f"{name}: an earlier job of that name is over; this one is {candidate}")
    return candidate


def _send(remote: Remote, plan: JobPlan, attempt: Attempt) -> None:
    """Submits the job as one of its alternatives, and says where it is."""
    name = plan.job.name
    place = f" ({attempt.place})" if attempt.place else ""
    full_name = remote.submit(plan.job, attempt.request)
    plan.remember(attempt)
    print(f"{name}: submitted as {full_name}{place}", flush=True)
    say(*filter(None, [remote.link(full_name)]), *plan.follow_commands(attempt))


def _withdraw(remote: Remote, name: str, attempt: Attempt, pause: Callable[[float], None]) -> None:
    """Cancels a job that got no machines, and waits until it is over.

    Otherwise it could still get some while the next alternative runs.
    """
    say(f"{name}: no machines ({attempt.place}); cancelling it")
    try:
        remote.cancel(name)
    except UserError as error:
        raise UserError(
            f"{name}: not cancelled, so it may still get machines and be paid for: {error}"
        ) from error
    for _ in range(_LOOKS_FOR_THE_END):
        state = remote.find(name)
        if state is None or state.over:
            return
        pause(SECONDS_BETWEEN_LOOKS)
    raise UserError(f"{name}: cancelled, but not over yet; see `status`, then submit it again")


def _print_log(remote: Remote, following: Following) -> int:
    """Prints a job's log, and with `follow` what comes until the job is over."""
    reader, lines = remote.log(following.name, following.since), 0
    while True:
        over = not following.follow or remote.state(following.name).over
        for line in reader.read():
            print(line, flush=following.follow)
            lines += 1
        if over:
            break
        time.sleep(SECONDS_BETWEEN_LOOKS)
    if not lines:
        say(f"{following.name}: no log yet; it begins when the job has started, see `status`")
    return DONE
