"""Configs on the command line: `--config=FILE --config.section.field=VALUE`.

_CONFIG = define_config()
app.run(main, flags_parser=parse)
"""

import sys
from pathlib import Path

from absl import flags
from ml_collections import config_flags

_PACKAGED = Path(__file__).parent


def define_config() -> flags.FlagHolder:
    """The flag --config; its value is None when it isn't given."""
    return config_flags.DEFINE_config_file(
        "config", None, "File with get_config(); --config.x.y=VALUE overrides a field of it."
    )


def parse(argv: list[str]) -> list[str]:
    """Parses the flags; leaves with code 1 and one line that says what is wrong with them.

    A config file that is not in the working folder is looked for beside the installed ones.
    """
    try:
        return flags.FLAGS([_found(argument) for argument in argv])
    except (flags.Error, AttributeError, TypeError, ValueError, SyntaxError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        # The last line of a traceback from within a config file is what went wrong.
        text = lines[-1] if lines else type(error).__name__
        sys.exit(f"error: {text}; configs/default.py holds every field, --help every flag")


def _found(argument: str) -> str:
    flag, separator, name = argument.partition("=")
    if flag.lstrip("-") != "config" or not separator:
        return argument
    packaged = _PACKAGED / Path(name).name
    if Path(name).is_file():
        return argument
    if Path(name).parent.name == _PACKAGED.name and packaged.is_file():
        return f"{flag}={packaged}"
    known = ", ".join(sorted(p.name for p in _PACKAGED.glob("*.py") if p.name != "__init__.py"))
    sys.exit(f"error: --config: {name} is not there; accepted is a file, or configs/ with {known}")
