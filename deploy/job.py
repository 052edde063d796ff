"""A job, whatever it runs on: what it is called, what it runs, from where.

    job = Job("imdb", arguments, "gs://bucket/runs/imdb", archive_url, digest, config)
    job.command         # the argv of each worker

A target is a module with

    Options             # frozen dataclass of the flags it takes; raises UserError on a bad one
    NEEDS               # the names of those without which it can't do
    request(job, options)                   # what is sent, as the service's own message
    render(request)                         # that as JSON or YAML
    equivalent(job, options)                # the command of gcloud or kubectl that does the same
    prerequisites(job, options)             # what has to be there before, and how it is made
    connect(options, workdir) -> Remote     # but for gke, where kubectl does it: manage()
"""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import ml_collections

from deploy.checks import matching
from storage.errors import UserError

_BOOTSTRAP = Path(__file__).parent / "payload" / "bootstrap.py"
_NAME = r"[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?"
_URL = r"(?=.{1,600}$)gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](?:/[A-Za-z0-9][A-Za-z0-9._=@+-]*)+/?"
_LONGEST_ARGUMENT = 10_000


@dataclasses.dataclass(frozen=True)
class Job:
    """What runs; all targets are given the same."""

    name: str
    arguments: tuple[str, ...]  # of `python -m trainer`
    workdir: str
    archive_url: str  # of the source distribution, whether it is there yet or not
    digest: str  # of what is in it, in hex; see deploy.package
    config: ml_collections.ConfigDict  # as the trainer will resolve it

    def __post_init__(self):
        check_name(self.name)
        matching(
            "workdir",
            self.workdir,
            _URL,
            "gs://BUCKET/PATH: a bucket in small letters, and a path of letters, digits and "
            ". _ = @ + -, whose parts begin with a letter or digit, 600 characters at most",
        )
        check_arguments(self.arguments)

    @property
    def bucket(self) -> str:
        """The workdir's bucket, as gs://BUCKET."""
        return "/".join(self.workdir.split("/")[:3])

    @property
    def command(self) -> tuple[str, ...]:
        """The argv of a worker that has Python and the dependencies.

        The bootstrap travels as text and gets all else as arguments: no shell reads any of it.
        """
        text = _BOOTSTRAP.read_text(encoding="utf-8")
        return ("python3", "-c", text, self.archive_url, self.digest, *self.arguments)


def check_name(name: str) -> None:
    """Raises UserError on one that no job has."""
    accepted = "up to 40 small letters, digits and '-', a letter first and no '-' last"
    matching("name", name, _NAME, accepted)


def check_arguments(arguments: Iterable[str]) -> None:
    """Raises UserError on one that can't be typed or shown, which is a mistake.

    All others are handed over one by one, and quoted where there is a shell.
    """
    for argument in arguments:
        if not argument.isprintable() or len(argument) > _LONGEST_ARGUMENT:
            flag = ascii(argument.partition("=")[0][:60])
            raise UserError(
                f"{flag}: its value is not printable or longer than {_LONGEST_ARGUMENT:,} "
                "characters; give it in one line"
            )


class State(NamedTuple):
    """Where a submitted job stands."""

    text: str  # in the service's own word, such as JOB_STATE_RUNNING
    over: bool
    succeeded: bool
    detail: str = ""  # why, where the service says so


class Remote(Protocol):
    """A service that jobs are submitted to; UserError for whatever a user can mend."""

    def submit(self, job: Job, request: Any) -> str:
        """The resource's full name. Refused when there is a job of that name already."""
        ...

    def state(self, name: str) -> State:
        """UserError when there is no such job."""
        ...

    def cancel(self, name: str) -> None:
        """Ends a job for good; one that is over stays as it is."""
        ...

    def logs(self, name: str) -> str:
        """What the job has printed so far, or the last of it."""
        ...
