"""Submits a job or follows one. The flags are the trainer's own, and where the job runs.

    python -m deploy.submit --dry_run --target=vertex --region=us-central1 \\
        --config=configs/imdb_gpu.py --workdir=gs://BUCKET/runs/imdb
    python -m deploy.submit --target=local --workers=2 --config=configs/imdb.py --workdir=runs/imdb
    python -m deploy.submit wait NAME --target=vertex --region=us-central1

A job is followed with status, wait, logs or cancel, and the flags that the submission prints.
"""

# Kept short on purpose: flags, and one call. The flags of a target are the fields of its Options;
# see deploy/targets/target.py.

import sys
from collections.abc import Callable
from typing import Any

from absl import flags

from configs.schema import command_line, rules
from deploy.job import Submission
from deploy.targets import target as targets
from storage.errors import UserError
from storage.exit_codes import DONE, RUN_AGAIN

_CONFIG = command_line.define_config()
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder or gs:// URL of the run.")
_TARGET = flags.DEFINE_enum("target", targets.DEFAULT, targets.NAMES, "Where the job runs.")
_NAME = flags.DEFINE_string("name", "", "Name of the job; by default made from the command.")
_DRY_RUN = flags.DEFINE_bool("dry_run", False, "Check and show everything, send nothing.")
_WAIT = flags.DEFINE_bool("wait", False, "Watch the job until it is over.")

_DEFINE: dict[type, Callable[..., flags.FlagHolder]] = {
    str: flags.DEFINE_string,
    int: flags.DEFINE_integer,
    bool: flags.DEFINE_bool,
}
_OPTIONS = [_DEFINE[flag.kind](flag.name, None, flag.help) for flag in targets.option_flags()]


def main(argv: list[str]) -> None:
    """Submits or follows a job. A UserError becomes one line and exit code 1."""
    try:
        sys.exit(_submit() if not argv[1:] else _follow(argv[1:]))
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print(
            "Stopped. If the job was already submitted, running this command again says so.",
            file=sys.stderr,
        )
        sys.exit(RUN_AGAIN)


def _submit() -> int:
    config, workdir, name = _required(_CONFIG), _required(_WORKDIR), _TARGET.value
    rules.check(config)
    options = targets.make_options(name, _given())
    target = targets.load(name)
    arguments = command_line.config_arguments(sys.argv[1:])
    if _WAIT.value and not target.can_wait:
        raise UserError(f"--wait: got True, but --target={name} has no job to wait for")
    plan = target.prepare(Submission(_NAME.value, tuple(arguments), config, workdir), options)
    if _DRY_RUN.value:
        print(plan.describe(), end="")
        return DONE
    return plan.submit(_WAIT.value)


def _follow(words: list[str]) -> int:
    verb, *names = words
    if verb not in targets.VERBS or len(names) != 1:
        raise UserError(
            f"{' '.join(words)!r}: accepted is {' or '.join(targets.VERBS)} with the name of one "
            "job, or flags alone to submit one; quote a value that has spaces"
        )
    if _DRY_RUN.value or _WAIT.value or _NAME.value or _CONFIG.value is not None:
        raise UserError(
            f"{verb}: got --dry_run, --wait, --name or --config, which are for submitting; leave "
            "them out"
        )
    options = targets.make_options(_TARGET.value, _given())
    return targets.load(_TARGET.value).follow(verb, names[0], options, _WORKDIR.value)


def _required(flag: flags.FlagHolder) -> Any:
    if not flag.value:
        raise UserError(f"--{flag.name}: missing; give it as for `python -m trainer`")
    return flag.value


def _given() -> dict[str, Any]:
    """Returns the options of targets that the command line gives."""
    return {option.name: option.value for option in _OPTIONS if option.value is not None}


def run() -> None:
    """Parses the flags and runs the command; also the entry point of the console script."""
    command_line.run(main)


if __name__ == "__main__":
    run()
