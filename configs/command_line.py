"""Configs on the command line: `--config=FILE --config.section.field=VALUE`.

_CONFIG = define_config()
app.run(main, flags_parser=parse)
"""

import difflib
import re
import sys
from pathlib import Path
from typing import NoReturn

from absl import app, flags
from ml_collections import config_flags

from configs import validate

_PACKAGED = Path(__file__).parent
_NO_CONFIGS = ("__init__", "command_line", "validate")


def define_config() -> flags.FlagHolder:
    """The flag --config; its value is None when it isn't given."""
    return config_flags.DEFINE_config_file(
        "config", None, "File with get_config(); --config.x.y=VALUE overrides a field of it."
    )


def parse(argv: list[str]) -> list[str]:
    """Parses the flags; leaves with code 1 and one line that says what is wrong with them.

    With --help it says what there is and leaves with code 0.

    A config file that is not in the working folder is looked for beside the installed ones.
    """
    if "--help" in argv:  # which absl has leave with code 1
        app.usage(shorthelp=True, writeto_stdout=True)
        sys.exit()
    argv = _joined(argv)
    file = next((a.partition("=")[2] for a in argv if a.startswith("--config=")), "--config")
    for argument in argv:
        _check_field(argument, with_config=file != "--config")
    try:
        return flags.FLAGS([_found(argument) for argument in argv])
    except flags.Error as error:
        override = re.match(r"flag --config\.([\w.]+)=(.*?): ", str(error))
        if not override:
            _leave(f"{_last_line(error)}; --help lists the flags")
        field, value = override.groups()
        _leave(f"config.{field}: got {value!r}, accepted is {validate.RULES[field][0]}")
    # A config file is a program, which may raise anything.
    except Exception as error:
        _leave(f"--config: {file} can't be used ({type(error).__name__}: {_last_line(error)})")


def config_arguments(argv: list[str]) -> list[str]:
    """Those of a command line that make its config, to hand on to another process."""
    return [argument for argument in _joined(argv) if re.match(r"--?config[.=]", argument)]


def _joined(argv: list[str]) -> list[str]:
    """`--config FILE` as `--config=FILE`."""
    joined = []
    for argument in argv:
        if joined and joined[-1] in ("--config", "-config"):
            joined[-1] = f"--config={argument}"
        else:
            joined.append(argument)
    return joined


def _check_field(argument: str, with_config: bool) -> None:
    match = re.match(r"--?config\.([^=]+)", argument)
    if match and match[1] not in validate.RULES:
        near = difflib.get_close_matches(match[1], validate.RULES, n=1)
        hint = f"did you mean config.{near[0]}?" if near else "configs/default.py holds them all"
        _leave(f"config.{match[1]}: no such field; {hint}")
    if match and not with_config:
        _leave(f"config.{match[1]}: nothing to override; give --config=FILE as well")


def _found(argument: str) -> str:
    flag, separator, name = argument.partition("=")
    if flag.lstrip("-") != "config" or not separator:
        return argument
    if Path(name).is_file():
        return argument
    packaged = _PACKAGED / Path(name).name
    if Path(name).parent.name != _PACKAGED.name or not packaged.is_file():
        known = sorted(path.name for path in _PACKAGED.glob("*.py") if path.stem not in _NO_CONFIGS)
        _leave(f"--config: {name} is not there; accepted is a file, or configs/{'|'.join(known)}")
    return f"{flag}={packaged}"


def _last_line(error: Exception) -> str:
    """The text of an error; of a traceback from within a config file, what went wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _leave(text: str) -> NoReturn:
    sys.exit(f"error: {text}")
