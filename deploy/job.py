"""A job: the command that its workers run, their code, and the run that they work on.

    job = Job("imdb", arguments, "gs://bucket/runs/imdb", archive_url, digest, config)
    job.command         # the argv of each worker

Every target is given the same Job; see deploy/targets/target.py for what a target makes of it.
"""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import ml_collections

from deploy.checks import GS_FOLDER, check_matches
from deploy.defaults import Defaults
from storage.errors import UserError

_BOOTSTRAP = Path(__file__).parent / "payload" / "bootstrap.py"
LONGEST_NAME = 40  # characters
_NAME = rf"[a-z](?:[a-z0-9-]{{0,{LONGEST_NAME - 2}}}[a-z0-9])?"
_LONGEST_ARGUMENT = 10_000  # characters
TRAIN, PREPARE = MODES = ("train_and_evaluate", "prepare")  # of the trainer, as jobs


class Submission(NamedTuple):
    """A user's request for a job, without the options of the target."""

    name: str  # of the job; "" when none was given
    arguments: tuple[str, ...]  # of `python -m trainer`: those that make the config
    config: ml_collections.ConfigDict
    workdir: str
    defaults: Defaults  # where the options' values are from, and prices
    mode: str = TRAIN  # of `python -m trainer`


@dataclasses.dataclass(frozen=True)
class Job:
    """A job on other machines. Raises UserError for a value that no target can take."""

    name: str
    arguments: tuple[str, ...]  # of `python -m trainer`, --workdir among them
    workdir: str
    archive_url: str  # of the source distribution, which may not be uploaded yet
    digest: str  # of the content of the source distribution, in hex; see deploy/package.py
    config: ml_collections.ConfigDict  # as the trainer will resolve it
    mode: str = TRAIN  # or PREPARE, whose machines need no accelerator
    config_file: str = ""  # on this machine, when it isn't one of the tree's

    def __post_init__(self) -> None:
        check_name(self.name)
        check_matches(
            "workdir",
            self.workdir,
            f"{GS_FOLDER}/?",
            "gs://BUCKET/PATH: a bucket in small letters, and a path of letters, digits and "
            ". _ = @ + -, each part of which begins with a letter or digit, 600 characters at most",
        )
        check_arguments(self.arguments)

    def renamed(self, name: str) -> "Job":
        """Returns the same job under another name."""
        return dataclasses.replace(self, name=name)

    @property
    def bucket(self) -> str:
        """The workdir's bucket, as gs://BUCKET."""
        return bucket_of(self.workdir)

    @property
    def bootstrap(self) -> str:
        """The text of deploy/payload/bootstrap.py, which installs and starts the trainer."""
        return _BOOTSTRAP.read_text(encoding="utf-8")

    @property
    def command(self) -> tuple[str, ...]:
        """The argv of a worker on a machine that has Python and the dependencies.

        The bootstrap travels as text and takes everything else as arguments, so no shell reads any
        of it.
        """
        return (
            *("python3", "-c", self.bootstrap),
            *(self.archive_url, self.digest, *self.arguments),
        )


def bucket_of(url: str) -> str:
    """Returns gs://BUCKET for gs://BUCKET/PATH."""
    return "/".join(url.split("/")[:3])


def check_name(name: str) -> None:
    """Raises UserError unless a job can have this name."""
    accepted = (
        f"up to {LONGEST_NAME} small letters, digits and '-', a letter first and no '-' at the end"
    )
    check_matches("name", name, _NAME, accepted)


def check_arguments(arguments: Iterable[str]) -> None:
    """Raises UserError for an argument that isn't printable or is too long.

    Such an argument is a mistake. All others are safe: they are handed over one by one, and quoted
    where there is a shell.
    """
    for argument in arguments:
        if not argument.isprintable() or len(argument) > _LONGEST_ARGUMENT:
            flag = ascii(argument.partition("=")[0][:60])
            raise UserError(
                f"{flag}: its value is not printable or longer than {_LONGEST_ARGUMENT:,} "
                "characters; give a shorter value without control characters"
            )
