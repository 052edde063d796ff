"""Submits a job or follows one. The flags are the trainer's own, and where the job runs.

    python -m deploy.submit --dry_run --target=vertex --region=us-central1 \\
        --config=configs/imdb_gpu.py --workdir=gs://BUCKET/runs/imdb
    python -m deploy.submit --target=local --workers=2 --config=configs/imdb.py --workdir=runs/imdb
    python -m deploy.submit logs NAME --follow

A job is followed with status, wait, logs, cancel or delete and its name; `list` shows all jobs, and
`image` makes the container image. Flags that are the same each time can be in deploy.toml.
"""

# Kept short on purpose: flags, and one call. The flags of a target are the fields of its Options;
# see deploy/targets/target.py.

import dataclasses
import logging
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

from absl import flags

from configs.schema import command_line, rules
from deploy import following, image, settings
from deploy.checks import check_between
from deploy.defaults import Defaults, Setting
from deploy.job import MODES, PREPARE, TRAIN, Submission
from deploy.targets import target as targets
from deploy.targets.target import Waiting
from storage import early_signals
from storage.errors import UserError
from storage.exit_codes import DONE, RUN_AGAIN

_WAITING = Waiting()
_CONFIG = command_line.define_config()
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder or gs:// URL of the run.")
_TARGET = flags.DEFINE_enum("target", targets.DEFAULT, targets.NAMES, "Where the job runs.")
_NAME = flags.DEFINE_string("name", "", "Name of the job; by default made from the command.")
_MODE = flags.DEFINE_enum("mode", TRAIN, MODES, "What the job does, as for `python -m trainer`.")
_DRY_RUN = flags.DEFINE_bool("dry_run", False, "Check and show everything, send nothing.")
_WAIT = flags.DEFINE_bool("wait", False, "Watch the job, with its log, until it is over.")
_RESUBMITS = flags.DEFINE_integer(
    "resubmits", _WAITING.resubmits, "How often a job that lost its machines is submitted again."
)
_TRY_MINUTES = flags.DEFINE_integer(
    "try_minutes", _WAITING.try_minutes, "Minutes that each of several alternatives is waited for."
)
_FOLLOW = flags.DEFINE_bool("follow", False, "logs: go on until the job is over.")
_SINCE = flags.DEFINE_string("since", "", "logs: from 30m, 2h or 1d ago, or from an ISO time, on.")
_BUILDER = flags.DEFINE_enum(
    "builder", "", ("", *image.BUILDERS), "image: what builds it; by default docker if it is there."
)
# What each command takes beside the flags of a target.
_SUBMISSION = ("config", "workdir", "name", "mode", "dry_run", "wait", "resubmits", "try_minutes")
_TAKES = {
    "submit": _SUBMISSION,
    **dict.fromkeys(targets.VERBS, ("workdir",)),
    "wait": ("workdir", "resubmits"),
    "logs": ("workdir", "follow", "since"),
    "list": (),
    "image": ("dry_run", "builder"),
}

_DEFINE: dict[type, Callable[..., flags.FlagHolder]] = {
    str: flags.DEFINE_string,
    int: flags.DEFINE_integer,
    bool: flags.DEFINE_bool,
}
_OPTIONS = [_DEFINE[flag.kind](flag.name, None, flag.help) for flag in targets.option_flags()]


def main(argv: list[str]) -> None:
    """Submits or follows a job. A UserError becomes one line and exit code 1."""
    early_signals.leave()
    try:
        sys.exit(_run(argv[1:]))
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        again = "" if argv[1:] else " If the job was already submitted, this command again says so."
        print(f"Stopped.{again}", file=sys.stderr)
        sys.exit(RUN_AGAIN)


def _run(words: list[str]) -> int:
    command, *names = words or ["submit"]
    if command == "status" and not names:
        command = "list"
    takes_name = command in targets.VERBS
    if command not in _TAKES or (words and command == "submit") or len(names) != takes_name:
        raise UserError(
            f"{' '.join(words)!r}: accepted is {' or '.join(targets.VERBS)} with the name of one "
            "job, `list` or `image`, or flags alone to submit one; quote a value that has spaces"
        )
    _check_flags(command)
    target = _TARGET.value if flags.FLAGS["target"].present else None
    if command == "submit":
        return _submit()
    if command == "list":
        return following.show_all(target, _given())
    if command == "image":
        return _image()
    since = following.parse_since(_SINCE.value)
    wish = targets.Following(command, names[0], _WORKDIR.value, _FOLLOW.value, since, _waiting())
    return following.follow(wish, target, _given())


def _submit() -> int:
    name, mode = str(_TARGET.value), str(_MODE.value)
    defaults = settings.read(name, _given())
    if mode == PREPARE and "accelerator" in targets.field_names(name):
        _leave_out_accelerators(defaults)
    targets.check_flags(name, _given())
    _check_complete(name, defaults)
    config, workdir = _CONFIG.value, str(_WORKDIR.value)
    rules.check(config)
    options = _make_options(name, defaults)
    target = targets.load(name)
    _check_waiting(target, options, defaults)
    if defaults.bucket and name != targets.DEFAULT and "://" not in workdir:
        workdir = f"gs://{defaults.bucket.value.removeprefix('gs://').rstrip('/')}/{workdir}"
    arguments = tuple(command_line.config_arguments(sys.argv[1:]))
    submission = Submission(str(_NAME.value), arguments, config, workdir, defaults, mode)
    plan = target.prepare(submission, options)
    if _DRY_RUN.value:
        print(plan.describe(), end="")
        return DONE
    return plan.submit(_waiting() if _WAIT.value else None)


def _leave_out_accelerators(defaults: Defaults) -> None:
    """Leaves accelerators out, those of a file too. Raises UserError when one was asked for."""
    for flag, value in {"accelerator": "", "accelerators": 0}.items():
        if asked := _given().get(flag):
            raise UserError(f"--{flag}: got {asked!r}, but --mode=prepare uses none; leave it out")
        defaults.flags[flag] = Setting(value, "--mode=prepare")


def _image() -> int:
    name = str(_TARGET.value)
    with_images = [target for target in targets.NAMES if "image" in targets.field_names(target)]
    if name not in with_images:
        raise UserError(f"--target: got {name!r}, accepted are {' and '.join(with_images)}")
    options = _make_options(name, settings.read(name, _given()))
    is_for_tpus = bool(dataclasses.asdict(options[0]).get("tpu_topology"))
    for image_name in dict.fromkeys(one.image for one in options):  # regions have their own
        image.make(image_name, is_for_tpus, _BUILDER.value or "", bool(_DRY_RUN.value))
    return DONE


def _make_options(name: str, defaults: Defaults) -> tuple[Any, ...]:
    try:
        return targets.make_options(name, defaults.given)
    except UserError as error:
        raise defaults.explained(error) from error


def _waiting() -> Waiting:
    return Waiting(int(_RESUBMITS.value or 0), int(_TRY_MINUTES.value or 0))


def _check_flags(command: str) -> None:
    """Raises UserError for a flag that the command would ignore."""
    taken = _TAKES[command]
    for flag in sorted({flag for flags_ in _TAKES.values() for flag in flags_} - set(taken)):
        if flags.FLAGS[flag].present:
            accepted = ", ".join(f"--{name}" for name in ("target", *taken))
            raise UserError(
                f"--{flag}: `{command}` doesn't take it; accepted are {accepted} and the flags of "
                "the target that find a job"
            )


def _check_complete(name: str, defaults: Defaults) -> None:
    """Raises UserError that names every flag that is missing."""
    needed = {"config": _CONFIG.value, "workdir": _WORKDIR.value}
    missing = [flag for flag, value in needed.items() if not value]
    missing += targets.missing_flags(name, defaults.given)
    if missing:
        raise UserError(
            f"{', '.join(f'--{flag}' for flag in missing)}: missing; --target={name} needs "
            f"{'it' if len(missing) == 1 else 'them'}; --config and --workdir are as for `python "
            "-m trainer`"
        )


def _check_waiting(target: targets.Target, options: tuple[Any, ...], defaults: Defaults) -> None:
    """Raises UserError for flags of --wait without it, and the other way round."""
    if _WAIT.value and not target.can_wait(options[0]):
        hint = "; add --apply" if "apply" in targets.field_names(str(_TARGET.value)) else ""
        raise UserError(
            f"--wait: got True, but --target={_TARGET.value} has no job to wait for{hint}"
        )
    if not _WAIT.value and len(options) > 1:
        several = next(
            flag
            for flag in targets.alternatives(type(options[0]))
            if "," in defaults.given.get(flag, "")
        )
        error = UserError(
            f"--{several}: got {defaults.given[several]!r}; add --wait, which tries one after the "
            "other, or give one"
        )
        raise defaults.explained(error)
    for flag in ("resubmits", "try_minutes"):
        if flags.FLAGS[flag].present and not _WAIT.value:
            raise UserError(f"--{flag}: got {flags.FLAGS[flag].value}; accepted with --wait only")
        check_between(flag, int(flags.FLAGS[flag].value or 0), 0, 10_000)


def _given() -> dict[str, Any]:
    """Returns the options of targets that the command line gives."""
    return {option.name: option.value for option in _OPTIONS if option.value is not None}


def run() -> None:
    """Parses the flags and runs the command."""
    # A refusal is one line, without what libraries print of their own versions and connections.
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    logging.getLogger("google").setLevel(logging.ERROR)
    command_line.run(main)
