"""Jobs on other machines: how a submission becomes a job, and what is shown before it is sent.

plan = target.prepare(submission, options)      # of a JobTarget, such as vertex
print(plan.describe())                          # sends and writes nothing
exit_code = plan.submit(wait=True)
"""

import abc
import dataclasses
import hashlib
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from deploy import package
from deploy.checks import refusal
from deploy.compatibility import check_reachable
from deploy.job import Job, Submission, bucket_of, check_arguments
from deploy.package import Archive
from deploy.targets.target import VERBS
from storage.errors import UserError

_ROOT = Path(__file__).resolve().parents[1]


class JobTarget(abc.ABC):
    """A target whose jobs run on other machines, from an archive of the working tree.

    `options` is always an instance of the target's own Options.
    """

    name: str  # as in --target
    can_wait: bool
    located_by: tuple[str, ...]  # the flags that find a job again; "workdir" may be among them

    @abc.abstractmethod
    def request(self, job: Job, options: Any) -> Any:
        """Returns what is sent, as the service's own message.

        Raises UserError when the job's config doesn't fit the machines.
        """

    @abc.abstractmethod
    def render(self, request: Any) -> str:
        """Returns a request as JSON or YAML."""

    @abc.abstractmethod
    def equivalent(self, job: Job, options: Any) -> str:
        """Returns a shell command that submits the same job with gcloud or kubectl."""

    @abc.abstractmethod
    def prerequisites(self, job: Job, options: Any) -> list[str]:
        """Returns what a job needs before it starts, a line each, with the command for it."""

    @abc.abstractmethod
    def submit(self, plan: "JobPlan", wait: bool) -> int:
        """Submits a job, and with `wait` watches it to its end. Returns an exit code."""

    @abc.abstractmethod
    def follow(self, verb: str, name: str, options: Any, workdir: str | None) -> int:
        """Does what `verb` says with a job. Returns an exit code."""

    def prepare(self, submission: Submission, options: Any) -> "JobPlan":
        """Packs the working tree and builds the request.

        Raises UserError for every mistake that can be found without asking the service.
        """
        workdir = submission.workdir.rstrip("/")
        if not workdir.startswith("gs://"):
            raise refusal(
                "workdir", workdir, "gs://BUCKET/PATH, which the job's machines can reach"
            )
        check_reachable(submission.config)
        arguments, config_file = _portable(submission.arguments)
        arguments = (*arguments, f"--workdir={workdir}")
        check_arguments(arguments)
        archive = package.build(_ROOT, config_file)
        job = Job(
            name=submission.name or _default_name(self.name, options, arguments),
            arguments=arguments,
            workdir=workdir,
            archive_url=package.address(archive, _archives(workdir)),
            digest=archive.digest,
            config=submission.config,
        )
        return JobPlan(self, options, job, archive, config_file, self.request(job, options))


@dataclasses.dataclass(frozen=True)
class JobPlan:
    """A job, its archive and its request: everything that a submission sends, already checked."""

    target: JobTarget
    options: Any
    job: Job
    archive: Archive
    config_file: Path | None  # a config from outside the tree, which the archive includes
    request: Any

    def describe(self) -> str:
        """Returns what --dry_run prints: everything that `submit` would do."""
        job, target = self.job, self.target
        settings = sorted(dataclasses.asdict(self.options).items())
        config = [] if self.config_file is None else [str(self.config_file)]
        upload = ["python", "-m", "deploy.package", _archives(job.workdir), *config]
        size = self.archive.path.stat().st_size / 1e3
        return f"""\
# Request
{target.render(self.request).rstrip()}

# Settings of --target={target.name}, including defaults
{_indented(f"--{flag}={value!r}" for flag, value in settings)}

# Upload, skipped when the archive is already in the bucket
  {self.archive.name} ({size:,.0f} kB) to {job.archive_url}
{_indented(package.files(self.archive))}

# Prerequisites, with the commands that create them
{_indented(target.prerequisites(job, self.options))}

# Commands that submit the same job by hand
{_indented([shlex.join(upload), target.equivalent(job, self.options)])}

# Commands that follow the job
{_indented(self.follow_commands())}
"""

    def submit(self, wait: bool) -> int:
        """Submits the job, and with `wait` watches it to its end. Returns an exit code."""
        return self.target.submit(self, wait)

    def upload(self) -> None:
        """Uploads the archive to the workdir's bucket unless it is already there."""
        package.upload(self.archive, _archives(self.job.workdir))

    def follow_commands(self) -> list[str]:
        """Returns the commands that show, wait for, log and cancel the job."""
        return follow_commands(self.target, self.job, self.options)


def follow_commands(target: JobTarget, job: Job, options: Any) -> list[str]:
    """Returns the commands that show, wait for, log and cancel a job, one for each of VERBS."""
    values = {**dataclasses.asdict(options), "workdir": job.workdir}
    flags = [f"--target={target.name}", *(f"--{flag}={values[flag]}" for flag in target.located_by)]
    submit = ["python", "-m", "deploy.submit"]
    return [shlex.join([*submit, verb, job.name, *flags]) for verb in VERBS]


def say(*lines: str) -> None:
    """Prints lines for the user, apart from the command's own output."""
    print(*lines, sep="\n", file=sys.stderr, flush=True)


def _portable(arguments: Sequence[str]) -> tuple[tuple[str, ...], Path | None]:
    """Returns the arguments with paths that hold on another machine, and the config to include.

    The second is None when the config is one of the tree's own.
    """
    portable, outside = [], None
    for argument in arguments:
        flag, _, value = argument.partition("=")
        path = Path(value)
        if flag.lstrip("-") == "config" and path.is_file():
            path = path.resolve()
            if path.parent != _ROOT / "configs":
                outside = path
            argument = f"--config=configs/{path.name}"
        portable.append(argument)
    if sum(argument.startswith("--config=") for argument in portable) != 1:
        raise UserError("--config: got more than one, accepted is one file")
    return tuple(portable), outside


def _default_name(target: str, options: Any, arguments: tuple[str, ...]) -> str:
    """Returns a name made from the command, so that giving the same command twice is noticed."""
    command = "\0".join([target, repr(options), *arguments])
    digest = hashlib.sha256(command.encode()).hexdigest()[:8]
    config = next(a.partition("=")[2] for a in arguments if a.startswith("--config="))
    stem = re.sub(r"[^a-z0-9]+", "-", Path(config).stem.lower()).strip("-")
    return f"{stem[:30]}-{digest}" if stem[:1].isalpha() else f"job-{digest}"


def _archives(workdir: str) -> str:
    """Returns the URL in the workdir's bucket that source distributions are uploaded to."""
    return f"{bucket_of(workdir)}/longhaul"


def _indented(lines: Iterable[str]) -> str:
    return "\n".join(f"  {line}" for line in lines)
