"""Jobs on other machines: how a submission becomes a job, and what is shown before it is sent.

plan = target.prepare(submission, options)      # of a JobTarget, such as vertex
print(plan.describe())                          # sends and writes nothing
exit_code = plan.submit(Waiting())
"""

import abc
import dataclasses
import hashlib
import itertools
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from deploy import cost, package, records, rehearsal
from deploy.checks import refusal
from deploy.compatibility import check_reachable
from deploy.defaults import Defaults
from deploy.job import TRAIN, Job, Submission, bucket_of, check_arguments
from deploy.package import Archive
from deploy.targets.target import VERBS, Following, Listed, Waiting, alternatives
from storage.errors import UserError

_ROOT = Path(__file__).resolve().parents[1]


class JobTarget(abc.ABC):
    """A target whose jobs run on other machines, from an archive of the working tree.

    `options` is always an instance of the target's own Options.
    """

    name: str  # as in --target
    located_by: tuple[str, ...]  # the flags that find a job again; "workdir" may be among them

    @abc.abstractmethod
    def can_wait(self, options: Any) -> bool:
        """Returns True when the job's end can be waited for with --wait."""

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
    def machines(self, options: Any) -> tuple[str, int]:
        """Returns what is rented, as in the settings' table of prices, and how many of it."""

    @abc.abstractmethod
    def submit(self, plan: "JobPlan", waiting: Waiting | None) -> int:
        """Submits a job, and unless `waiting` is None watches it. Returns an exit code."""

    @abc.abstractmethod
    def follow(self, following: Following, options: Any) -> int:
        """Does what the verb says with a job. Returns an exit code."""

    @abc.abstractmethod
    def jobs(self, options: Any, known: Mapping[str, str]) -> list[Listed]:
        """Returns the jobs at the place that the options name, and of the known ones."""

    def prepare(self, submission: Submission, options: Sequence[Any]) -> "JobPlan":
        """Packs the working tree, evaluates the config as the job will, and builds the requests.

        Raises UserError for every mistake that can be found without asking the service.
        """
        workdir = submission.workdir.rstrip("/")
        if not workdir.startswith("gs://"):
            raise refusal(
                "workdir", workdir, "gs://BUCKET/PATH, which the job's machines can reach"
            )
        check_reachable(submission.config, submission.mode)
        config_arguments, config_file = _portable(submission.arguments)
        mode = () if submission.mode == TRAIN else (f"--mode={submission.mode}",)
        arguments = (*config_arguments, *mode, f"--workdir={workdir}")
        check_arguments(arguments)
        archive = package.build(_ROOT, config_file)
        rehearsal.check(archive, config_arguments, submission.config)
        job = Job(
            name=submission.name or _default_name(self.name, options, arguments),
            arguments=arguments,
            workdir=workdir,
            archive_url=package.address(archive, _archives(workdir)),
            digest=archive.digest,
            config=submission.config,
            mode=submission.mode,
            config_file="" if config_file is None else str(config_file),
        )
        attempts = _attempts(self, job, options)
        return JobPlan(self, attempts, job, archive, submission.defaults)


class Attempt(NamedTuple):
    """One of the alternatives of a plan."""

    options: Any
    request: Any
    place: str  # what sets it apart from the others, such as "provisioning=spot"; "" for only one


@dataclasses.dataclass(frozen=True)
class JobPlan:
    """A job, its archive and its requests: everything that a submission sends, already checked."""

    target: JobTarget
    attempts: tuple[Attempt, ...]  # tried in this order
    job: Job
    archive: Archive
    defaults: Defaults

    def renamed(self, name: str) -> "JobPlan":
        """Returns the plan of the same job under another name."""
        job = self.job.renamed(name)
        attempts = _attempts(self.target, job, [attempt.options for attempt in self.attempts])
        return dataclasses.replace(self, job=job, attempts=attempts)

    def describe(self) -> str:
        """Returns what --dry_run prints: everything that `submit` would do."""
        job, target, first = self.job, self.target, self.attempts[0]
        upload = ["python", "-m", "deploy.package", _archives(job.workdir)]
        upload += filter(None, [job.config_file])
        size = self.archive.path.stat().st_size / 1e3
        return f"""\
# Request
{target.render(first.request).rstrip()}

# Settings of --target={target.name}, and where each is from
{_indented(self.defaults.shown(first.options))}
{self._others()}
# What it costs at most
{_indented(cost.at_most(*target.machines(first.options), first.options, self.defaults))}

# Upload, skipped when the archive is already in the bucket
  {self.archive.name} ({size:,.0f} kB) to {job.archive_url}
{_indented(package.files(self.archive))}

# Prerequisites, with the commands that create them
{_indented(self._prerequisites())}

# Commands that submit the same job by hand
{_indented([shlex.join(upload), target.equivalent(job, first.options)])}

# Commands that follow the job
{_indented(self.follow_commands(first))}
"""

    def _prerequisites(self) -> list[str]:
        """Returns the prerequisites of all alternatives, each once.

        A line begins with what it is about; of the lines about one thing the first is kept.
        """
        lines = (self.target.prerequisites(self.job, one.options) for one in self.attempts)
        by_subject: dict[str, str] = {}
        for line in itertools.chain.from_iterable(lines):
            by_subject.setdefault(line.partition(": ")[0], line)
        return list(by_subject.values())

    def _others(self) -> str:
        """Returns what is shown of the alternatives after the first."""
        if len(self.attempts) == 1:
            return ""
        places = (f"{attempt.place}" for attempt in self.attempts)
        return f"\n# Tried in this order, while there are no machines\n{_indented(places)}\n"

    def submit(self, waiting: Waiting | None) -> int:
        """Submits the job, and unless `waiting` is None watches it. Returns an exit code."""
        return self.target.submit(self, waiting)

    def upload(self) -> None:
        """Uploads the archive to the workdir's bucket unless it is already there."""
        package.upload(self.archive, _archives(self.job.workdir))

    def remember(self, attempt: Attempt) -> None:
        """Records the job on this machine, so that its name is enough to follow it."""
        options = {f: v for f, v in self._places(attempt).items() if f != "workdir"}
        records.add(records.Record(self.job.name, self.target.name, options, self.job.workdir))

    def follow_commands(self, attempt: Attempt) -> list[str]:
        """Returns the commands that follow the job, and those that look at its files."""
        flags = [f"--{flag}={value}" for flag, value in self._places(attempt).items() if value]
        name, workdir = self.job.name, self.job.workdir
        submit, place = ["python", "-m", "deploy.submit"], [f"--target={self.target.name}", *flags]
        commands = [[*submit, verb, name, *place] for verb in VERBS]
        commands.append(["gcloud", "storage", "rsync", "--recursive", workdir, f"runs/{name}"])
        if self.job.mode == TRAIN:
            commands.append(["tensorboard", f"--logdir=runs/{name}"])
        return [shlex.join(command) for command in commands]

    def _places(self, attempt: Attempt) -> dict[str, Any]:
        """Returns the flags that find the job again, with their values."""
        values = {**dataclasses.asdict(attempt.options), "workdir": self.job.workdir}
        return {flag: values[flag] for flag in self.target.located_by}


def _attempts(target: JobTarget, job: Job, options: Sequence[Any]) -> tuple[Attempt, ...]:
    """Returns the alternatives of a job, in order, each with its request."""
    listed = alternatives(type(options[0]))
    differ = [flag for flag in listed if len({getattr(one, flag) for one in options}) > 1]
    return tuple(
        Attempt(
            one,
            target.request(job, one),
            ", ".join(f"{flag}={getattr(one, flag)}" for flag in differ),
        )
        for one in options
    )


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


def _default_name(target: str, options: Sequence[Any], arguments: tuple[str, ...]) -> str:
    """Returns a name made from the command, so that giving the same command twice is noticed.

    It leaves room for the number that a later job of the same command gets.
    """
    command = "\0".join([target, *map(repr, options), *arguments])
    digest = hashlib.sha256(command.encode()).hexdigest()[:8]
    config = next(a.partition("=")[2] for a in arguments if a.startswith("--config="))
    stem = re.sub(r"[^a-z0-9]+", "-", Path(config).stem.lower()).strip("-")[:26].rstrip("-")
    return f"{stem}-{digest}" if stem[:1].isalpha() else f"job-{digest}"


def _archives(workdir: str) -> str:
    """Returns the URL in the workdir's bucket that source distributions are uploaded to."""
    return f"{bucket_of(workdir)}/longhaul"


def _indented(lines: Iterable[str]) -> str:
    return "\n".join(f"  {line}" for line in lines)
