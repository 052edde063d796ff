"""The interface of a target, which is a place where jobs run, and the registry of all targets.

    target, options = load("vertex"), make_options("vertex", {"region": "us-central1"})
    plan = target.prepare(submission, options)
    print(plan.describe())
    exit_code = plan.submit(wait=False)

To add a target, such as another cloud's, make a folder beside this file and a line in _REGISTRY.
The folder has `Options`, a frozen dataclass, and `TARGET`, a Target. Each field of Options becomes
a flag of `python -m deploy.submit`, and the text of its annotation the flag's help:

    zone: Annotated[str, "Zone with TPUs, such as us-west4-a."]     # no default: required
    spot: Annotated[bool, "Use spot machines."] = False

For a target on other machines, deploy/jobs.py has a base class; for one behind an API, so does
deploy/remote.py. The module of Options must import no optional client library, since `--help` reads
it.
"""

import dataclasses
import importlib
import typing
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from deploy.job import Submission
from storage.errors import UserError

VERBS = ("status", "wait", "logs", "cancel")  # what can be done with a job that was submitted


class Plan(Protocol):
    """A submission that has been checked and not yet carried out."""

    def describe(self) -> str:
        """Returns what --dry_run prints: everything that `submit` would do."""
        ...

    def submit(self, wait: bool) -> int:
        """Submits the job, and with `wait` watches it to its end. Returns an exit code."""
        ...


class Target(Protocol):
    """A place where jobs run. `options` is always an instance of the target's own Options."""

    can_wait: bool  # True when the job's end can be waited for with --wait

    def prepare(self, submission: Submission, options: Any) -> Plan:
        """Plans a submission without asking any service.

        Raises UserError for every mistake that can be found that way.
        """
        ...

    def follow(self, verb: str, name: str, options: Any, workdir: str | None) -> int:
        """Does what `verb`, one of VERBS, says with a job. Returns an exit code."""
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


def make_options(name: str, given: Mapping[str, Any]) -> Any:
    """Makes a target's Options from the flags that were given.

    Raises UserError when the target is not installed, doesn't take a flag, needs another one, or
    refuses a value.
    """
    load(name)
    options = options_class(name)
    fields = {field.name: field for field in dataclasses.fields(options)}
    for flag, value in given.items():
        if flag not in fields:
            accepted = ", ".join(f"--{name}" for name in sorted(fields))
            raise UserError(
                f"--{flag}: got {value!r}, but --target={name} has no such flag; accepted are "
                f"{accepted}"
            )
    for flag, field in fields.items():
        if _is_required(field) and flag not in given:
            raise UserError(f"--{flag}: missing; --target={name} needs it")
    return options(**given)


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


def _is_required(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING


def _default(field: dataclasses.Field) -> str:
    """Returns what a flag's help says of its default."""
    if _is_required(field):
        return " Required."
    return f" Default: {field.default}." if field.default else ""
