"""Runs a job somewhere: the same flags as `python -m trainer`, and where.

    python -m deploy.submit --target=local --workers=2 --config=configs/imdb.py --workdir=runs/imdb

`local` is this machine, several processes as the workers of one job.
"""

import sys

from absl import app, flags

from configs import command_line, validate
from deploy import local
from storage.errors import UserError

_CONFIG = command_line.define_config()
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder or gs:// URL of the run.")
_TARGET = flags.DEFINE_enum("target", "local", ["local"], "Where the job runs.")
_WORKERS = flags.DEFINE_integer("workers", 1, "Processes of the job.", lower_bound=1)
_MAX_RESTARTS = flags.DEFINE_integer(
    "max_restarts", 3, "How often all are started again when one is lost.", lower_bound=0
)


def main(argv: list[str]) -> None:
    """Submits; exit code 1 and one line for a UserError, else the job's."""
    if argv[1:]:
        sys.exit(f"error: {argv[1]!r}: no flag; quote a value that has spaces")
    try:
        if _CONFIG.value is None or not _WORKDIR.value:
            raise UserError("--config and --workdir: give both, as for `python -m trainer`")
        validate.check(_CONFIG.value)
    except UserError as error:
        sys.exit(f"error: {error}")
    arguments = [*command_line.config_arguments(sys.argv[1:]), f"--workdir={_WORKDIR.value}"]
    sys.exit(local.run(arguments, _WORKERS.value, _MAX_RESTARTS.value))


if __name__ == "__main__":
    app.run(main, flags_parser=command_line.parse)
