"""The interface of a target, which is a place where jobs run, and the registry of all targets.

    target, options = load("vertex"), make_options("vertex", {"region": "us-central1,us-east1"})
    plan = target.prepare(submission, options)
    print(plan.describe())
    exit_code = plan.submit(None)

To add a target, such as another cloud's, see docs/targets.md: make a folder beside this file and a
line in _REGISTRY. The folder has `Options`, a frozen dataclass, and `TARGET`, a Target. Each field
of Options becomes a flag of `python -m deploy.submit`, and the text of its annotation the flag's
help:

    zone: Annotated[str, "Zone with TPUs, such as us-west4-a."]     # no default: required
    workers: Annotated[int, "Machines."] = 1

For a target on other machines, deploy/jobs.py has a base class; for one behind an API, so does
deploy/service_target.py. The module of Options must import no optional client library, since
`--help` reads it.
"""

import dataclasses
import importlib
import itertools
import re
import typing
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from deploy.checks import refusal
from deploy.job import Submission
from storage.errors import UserError

VERBS = ("status", "wait", "logs", "cancel", "delete")  # what can be done with a submitted job


class Waiting(NamedTuple):
    """What --wait does beside watching."""

    resubmits: int = 10  # how often a job is submitted again whose machines were taken away
    try_minutes: int = 30  # for which each alternative waits for machines


class Following(NamedTuple):
    """A verb and the job that it is for."""

    verb: str  # one of VERBS
    name: str
    workdir: str | None = None
    follow: bool = False  # whether `logs` goes on until the job is over
    since: datetime | None = None  # where `logs` begins
    waiting: Waiting = Waiting()  # of `wait`


class State(NamedTuple):
    """The state of a submitted job."""

    text: str  # in the service's own word, such as JOB_STATE_RUNNING
    over: bool
    succeeded: bool
    detail: str = ""  # the reason, where the service gives one
    taken_away: bool = False  # it lost its machines or asked to be run again, and is not by itself
    waiting: bool = False  # it has no machines yet
    no_capacity: bool = False  # the service says that it has no such machines

    @property
    def described(self) -> str:
        """The state with its reason, as it is shown."""
        return f"{self.text} {self.detail}".rstrip()


class Listed(NamedTuple):
    """A job as `list` shows it."""

    name: str
    state: State
    created: datetime | None


class Plan(Protocol):
    """A submission that has been checked and not yet carried out."""

    def describe(self) -> str:
        """Returns what --dry_run prints: everything that `submit` would do."""
        ...

    def submit(self, waiting: Waiting | None) -> int:
        """Submits the job, and watches it to its end unless `waiting` is None.

        Returns an exit code.
        """
        ...


class Target(Protocol):
    """A place where jobs run. `options` is always an instance of the target's own Options."""

    @property
    def located_by(self) -> tuple[str, ...]:
        """The flags that find a job again; "workdir" may be among them."""
        ...

    def can_wait(self, options: Any) -> bool:
        """Returns True when the job's end can be waited for with --wait."""
        ...

    def prepare(self, submission: Submission, options: Sequence[Any]) -> Plan:
        """Plans a submission without asking any service.

        `options` are alternatives: when there are no machines for the first one, the next is tried.
        Raises UserError for every mistake that can be found that way.
        """
        ...

    def follow(self, following: Following, options: Any) -> int:
        """Does what the verb says with a job. Returns an exit code."""
        ...

    def jobs(self, options: Any, known: Mapping[str, str]) -> list[Listed]:
        """Returns the jobs at the place that the options name, the newest first.

        `known` has the workdirs of jobs, by name, that the service may have forgotten.
        """
        ...


class _Entry(NamedTuple):
    """The modules of a target. The second one may need a client library."""

    options: str
    target: str


_REGISTRY = {
    "local": _Entry("deploy.targets.local", "deploy.targets.local"),
    "vertex": _Entry("deploy.targets.vertex.options", "deploy.targets.vertex.target"),
    "tpu_vm": _Entry("deploy.targets.tpu_vm.options", "deploy.targets.tpu_vm.target"),
    "gke": _Entry("deploy.targets.gke.options", "deploy.targets.gke.target"),
}
NAMES = tuple(_REGISTRY)
DEFAULT = "local"


class OptionFlag(NamedTuple):
    """A command line flag that one or more targets take."""

    name: str
    kind: type  # of its value: str, int or bool
    help: str


def load(name: str) -> Target:
    """Returns a target. Raises UserError when its client library is not installed."""
    try:
        return importlib.import_module(_REGISTRY[name].target).TARGET
    # A missing part of the package `google.cloud` is no ModuleNotFoundError.
    except ImportError as error:
        raise UserError(
            f"--target: {name} needs a package that is not installed ({error}); run "
            "`pip install -e '.[deploy]'` in the checkout"
        ) from error


def make_options(name: str, given: Mapping[str, Any]) -> tuple[Any, ...]:
    """Makes a target's Options from the flags that were given, one for each alternative.

    A flag in the class's ALTERNATIVES may hold several values, separated by commas. The first of
    these flags varies slowest.

    Raises UserError when the target is not installed, doesn't take a flag, needs another one, or
    refuses a value. Everything missing is named at once.
    """
    load(name)
    options = options_class(name)
    check_flags(name, given)
    if missing := missing_flags(name, given):
        raise UserError(f"{_listed(missing)}: missing; --target={name} needs it")
    several = {flag: given[flag].split(",") for flag in alternatives(options) if flag in given}
    for flag, values in several.items():
        if len({*values}) < len(values):
            raise refusal(flag, given[flag], "each value once")
    return tuple(
        options(**{**given, **dict(zip(several, values, strict=True))})
        for values in itertools.product(*several.values())
    )


def check_flags(name: str, given: Mapping[str, Any]) -> None:
    """Raises UserError for a flag that a target doesn't take."""
    fields = field_names(name)
    for flag, value in given.items():
        if flag not in fields:
            raise UserError(
                f"--{flag}: got {value!r}, but --target={name} has no such flag; accepted are "
                f"{_listed(sorted(fields))}"
            )


def missing_flags(name: str, given: Mapping[str, Any]) -> list[str]:
    """Returns the flags that a target needs and that were not given."""
    fields = dataclasses.fields(options_class(name))
    return [f.name for f in fields if f.default is dataclasses.MISSING and f.name not in given]


def field_names(name: str) -> list[str]:
    """Returns the names of a target's flags."""
    return [field.name for field in dataclasses.fields(options_class(name))]


def alternatives(options: Any) -> tuple[str, ...]:
    """Returns the flags of a target's Options that may hold several values."""
    return getattr(options, "ALTERNATIVES", ())


def parse_full_name(text: str) -> tuple[str, dict[str, str], str] | None:
    """Returns the target, flags and name of a job from a service's full name of it.

    Such as projects/P/locations/us-central1/customJobs/123. Returns None for another text.
    """
    for target in NAMES:
        pattern = getattr(options_class(target), "FULL_NAME", None)
        if pattern and (match := re.fullmatch(pattern, text, re.ASCII)):
            found = match.groupdict()
            name = found.pop("name")
            return target, found, name
    return None


def option_flags() -> list[OptionFlag]:
    """Returns the flags of all targets. Targets that have a flag of the same name share it."""
    kinds: dict[str, type] = {}
    helps: dict[str, dict[str, list[str]]] = {}  # flag -> its help -> the targets it holds for
    for target in NAMES:
        for field in dataclasses.fields(options_class(target)):
            kind, text = typing.get_args(field.type)
            kinds[field.name] = next(iter(typing.get_args(kind)), kind)  # int for `int | None`
            text += _default(field)
            helps.setdefault(field.name, {}).setdefault(text, []).append(target)
    return [
        OptionFlag(
            flag,
            kinds[flag],
            " ".join(f"{', '.join(targets)}: {text}" for text, targets in texts.items()),
        )
        for flag, texts in helps.items()
    ]


def options_class(name: str) -> Any:
    """Returns a target's Options; needs no client library."""
    return importlib.import_module(_REGISTRY[name].options).Options


def _listed(flags: Iterable[str]) -> str:
    return ", ".join(f"--{flag}" for flag in flags)


def _default(field: dataclasses.Field) -> str:
    """Returns what a flag's help says of its default."""
    if field.default is dataclasses.MISSING:
        return " Required."
    return f" Default: {field.default}." if field.default else ""
