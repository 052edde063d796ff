"""From a command to a job that runs: what is said before, what is sent, and what is watched after.

plan = prepare("vertex", options, name="", arguments=[...], config=config, workdir="gs://b/run")
print(describe(plan))               # sends and writes nothing
submit(plan, wait=True)
follow("wait", "vertex", options, name="imdb-1f0c", workdir=None)
"""

import dataclasses
import hashlib
import importlib
import re
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import ml_collections

from deploy import package
from deploy.checks import refused
from deploy.job import Job, Remote, check_arguments, check_name
from deploy.package import Archive
from deploy.targets import local
from storage.errors import UserError

_MODULES = {name: f"deploy.targets.{name}.target" for name in ("vertex", "tpu_vm", "gke")}
TARGETS = ("vertex", "tpu_vm", "gke")
VERBS = ("status", "wait", "logs", "cancel")
_ROOT = Path(__file__).resolve().parents[1]
_SECONDS_BETWEEN_LOOKS = 10.0
_TAKEN_AWAY = "SUSPENDED"  # a state of Cloud TPU's that leads nowhere
_FAILED = 1  # the exit code of a job that is over and did not succeed


class Plan(NamedTuple):
    """All that a submission will do, decided and checked."""

    target: str
    module: ModuleType
    options: Any
    job: Job
    archive: Archive
    config_file: Path | None  # one from elsewhere, which travels along
    request: Any


def make_options(target: str, given: dict[str, Any]) -> Any:
    """A target's Options of the flags that were given; UserError on one that it doesn't take."""
    module = _module(target)
    fields = {field.name for field in dataclasses.fields(module.Options)}
    for flag, value in given.items():
        if flag not in fields:
            accepted = ", ".join(f"--{name}" for name in sorted(fields))
            raise UserError(
                f"--{flag}: got {value!r}, but --target={target} has no such flag; accepted are "
                f"{accepted}"
            )
    missing = [name for name in module.NEEDS if name not in given]
    if missing:
        raise UserError(f"--{missing[0]}: missing; --target={target} needs it")
    return module.Options(**given)


def prepare(
    target: str,
    options: Any,
    name: str,
    arguments: Sequence[str],
    config: ml_collections.ConfigDict,
    workdir: str,
) -> Plan:
    """Packs the working tree and builds the request; `arguments` are those that make the config.

    Raises UserError for all that can be known to be wrong without asking the service.
    """
    module = _module(target)
    workdir = workdir.rstrip("/")
    if not workdir.startswith("gs://"):
        raise refused("workdir", workdir, "gs://BUCKET/PATH, which the job's machines can reach")
    _check_reachable(config)
    arguments, outside = _portable(arguments)
    arguments = (*arguments, f"--workdir={workdir}")
    check_arguments(arguments)
    archive = package.build(_ROOT, outside)
    job = Job(
        name=name or _name(target, options, arguments),
        arguments=arguments,
        workdir=workdir,
        archive_url=package.address(archive, _packages(workdir)),
        digest=archive.digest,
        config=config,
    )
    return Plan(target, module, options, job, archive, outside, module.request(job, options))


def describe(plan: Plan) -> str:
    """Everything that `submit` is going to do."""
    job, module = plan.job, plan.module
    settings = dataclasses.asdict(plan.options)
    after = "\n".join(f"  {line}" for line in commands(plan.target, plan.options, job))
    there = "\n".join(f"  {line}" for line in module.prerequisites(job, plan.options))
    files = "\n  ".join(package.files(plan.archive))
    config = [] if plan.config_file is None else [str(plan.config_file)]
    upload = shlex.join(["python", "-m", "deploy.package", _packages(job.workdir), *config])
    shown = "\n".join(f"  --{flag}={value!r}" for flag, value in sorted(settings.items()))
    return f"""\
# The request
{module.render(plan.request).rstrip()}

# Settings of --target={plan.target}, defaults included
{shown}

# Uploaded before, unless it is there
  {plan.archive.name} ({plan.archive.path.stat().st_size / 1e3:,.0f} kB) to {job.archive_url}
  {files}

# What has to be there
{there}

# The same by hand
  {upload}
  {module.equivalent(job, plan.options)}

# Afterwards
{after}
"""


def submit(plan: Plan, wait: bool, pause: Callable[[float], None] = time.sleep) -> int:
    """Uploads, submits, and with `wait` stays until the job is over; the exit code."""
    job = plan.job
    if plan.target == "gke":  # kubectl does the rest
        package.upload(plan.archive, _packages(job.workdir))
        print(plan.module.render(plan.request), end="")
        _say("Hand this to `kubectl apply -f -`. Then:", *commands("gke", plan.options, job))
        return 0
    remote = plan.module.connect(plan.options, job.workdir)
    package.upload(plan.archive, _packages(job.workdir))
    print(f"{job.name}: submitted as {remote.submit(job, plan.request)}", flush=True)
    _say(*commands(plan.target, plan.options, job))
    if not wait:
        return 0
    recreate = getattr(remote, "recreate", None)
    return watch(remote, job.name, recreate and (lambda: recreate(job, plan.request)), pause)


def follow(verb: str, target: str, options: Any, name: str, workdir: str | None) -> int:
    """`status`, `wait`, `logs` or `cancel` of a job; the exit code."""
    module = _module(target)
    check_name(name)
    if target == "gke":
        print(module.manage(verb, name, options))
        return 0
    remote = module.connect(options, workdir)
    if verb == "wait":
        return watch(remote, name)
    if verb == "logs":
        print(remote.logs(name), end="")
        return 0
    if verb == "cancel":
        remote.cancel(name)
        print(f"{name}: cancelled; its checkpoints stay where they are")
        return 0
    state = remote.state(name)
    print(f"{name}: {state.text} {state.detail}".rstrip())
    return _FAILED if state.over and not state.succeeded else 0


def watch(
    remote: Remote,
    name: str,
    recreate: Callable[[], None] | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Prints the states as they change until the job is over; Ctrl-C leaves it running."""
    shown = None
    try:
        while True:
            state = remote.state(name)
            if state != shown:
                print(f"{name}: {state.text} {state.detail}".rstrip(), flush=True)
                shown = state
            if state.over:
                return 0 if state.succeeded else _FAILED
            if state.text == _TAKEN_AWAY:
                if not recreate:
                    _say(f"{name} never comes back; submit it again with --wait, which sees to it.")
                    return local.STOPPED_FROM_OUTSIDE
                print(f"{name}: taken away, making it anew", flush=True)
                recreate()
            pause(_SECONDS_BETWEEN_LOOKS)
    except KeyboardInterrupt:
        _say(f"{name} goes on without this command; `wait` watches it again, `cancel` ends it.")
        return local.STOPPED_FROM_OUTSIDE


def _module(target: str) -> ModuleType:
    """UserError when the client that it needs is not installed."""
    try:
        return importlib.import_module(_MODULES[target])
    except ImportError as error:  # of a part of `google.cloud` it is no ModuleNotFoundError
        raise UserError(
            f"--target: {target} needs what is not installed ({error}); pip install -e '.[deploy]' "
            "in the checkout"
        ) from error


def _check_reachable(config: ml_collections.ConfigDict) -> None:
    """UserError when the job would look for something that is on this machine only."""
    source = config.data.source
    kind, _, place = source.partition(":")
    if kind == "files" or (kind == "shards" and not place.startswith("gs://")):
        raise UserError(
            f"config.data.source: got {source!r}, which the job's machines can't reach; "
            "accepted are 'shards:gs://BUCKET/PATH', made with `python -m trainer --mode=prepare "
            "--workdir=gs://BUCKET/PATH`, 'tfds:NAME' and 'sample'"
        )
    for field, place in (
        ("data.dir", config.data.dir),
        ("checkpoint.init_from", config.checkpoint.init_from),
    ):
        if place and not place.startswith("gs://"):
            raise UserError(
                f"config.{field}: got {place!r}, which the job's machines can't reach; accepted is "
                "a gs:// URL, or ''"
            )
    if config.strategy.virtual_devices:
        raise UserError(
            f"config.strategy.virtual_devices: got {config.strategy.virtual_devices}, accepted is "
            "0 but with --target=local"
        )


def _portable(arguments: Sequence[str]) -> tuple[tuple[str, ...], Path | None]:
    """The arguments as they hold on another machine, and a config file to take along."""
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


def _name(target: str, options: Any, arguments: tuple[str, ...]) -> str:
    """The same for the same command, so that giving it twice is noticed."""
    decisive = "\0".join([target, repr(options), *arguments])
    digest = hashlib.sha256(decisive.encode()).hexdigest()[:8]
    config = next(a.partition("=")[2] for a in arguments if a.startswith("--config="))
    stem = re.sub(r"[^a-z0-9]+", "-", Path(config).stem.lower()).strip("-")
    return f"{stem[:30]}-{digest}" if stem[:1].isalpha() else f"job-{digest}"


def _packages(workdir: str) -> str:
    """Where source distributions lie in the workdir's bucket."""
    return "/".join([*workdir.split("/")[:3], "longhaul"])


def commands(target: str, options: Any, job: Job) -> list[str]:
    """The commands that look after a job."""
    place = {"vertex": ("region", "project"), "tpu_vm": ("zone", "project"), "gke": ("namespace",)}
    flags = [f"--{flag}={getattr(options, flag)}" for flag in place[target]]
    if target == "tpu_vm":  # where the log lies, and the exit code once the machine is gone
        flags.append(f"--workdir={job.workdir}")
    submit = ["python", "-m", "deploy.submit"]
    return [shlex.join([*submit, verb, job.name, f"--target={target}", *flags]) for verb in VERBS]


def _say(*lines: str) -> None:
    print(*lines, sep="\n", file=sys.stderr, flush=True)
