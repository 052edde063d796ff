"""Configs on the command line: `--config=FILE --config.section.field=VALUE`.

_CONFIG = define_config()
app.run(main, flags_parser=parse)
"""

import contextlib
import difflib
import re
import sys
from pathlib import Path
from typing import NoReturn

from absl import app, flags
from ml_collections import ConfigDict, config_flags

from configs.schema import rules

_PACKAGED = Path(__file__).parents[1]
_HELP = {"--help", "-help", "-h", "--helpshort", "--helpfull"}
_NO_CONFIGS = ("__init__",)


def define_config() -> flags.FlagHolder:
    """The flag --config; its value is None when it isn't given."""
    try:
        return config_flags.DEFINE_config_file(
            "config", None, "File with get_config(); --config.x.y=VALUE overrides a field of it."
        )
    except flags.Error as error:  # it looks at the command line, and into a --flagfile, at once
        _leave(_last_line(str(error)))


def parse(argv: list[str]) -> list[str]:
    """Parses the flags; leaves with code 1 and one line that says what is wrong with them.

    A config file that is not in the working folder is looked for beside the installed ones. With
    --help it says what there is and leaves with code 0.
    """
    if _HELP.intersection(argv):  # which absl has leave with code 1
        app.usage(shorthelp="--helpfull" not in argv, writeto_stdout=True)
        sys.exit()
    argv = _joined(argv)
    file = next((a.partition("=")[2] for a in argv if a.startswith("--config=")), "--config")
    for argument in argv:
        _check_field(argument, with_config=file != "--config")
    try:
        # What a config prints must not be taken for the command's own output.
        with contextlib.redirect_stdout(sys.stderr):
            words = flags.FLAGS([_found(argument) for argument in argv])
    except flags.Error as error:
        _leave(_about_flag(str(error), file))
    # A config file is a program, which may raise anything, or leave.
    except (Exception, SystemExit) as error:
        _leave(_about_config(file, error))
    if file != "--config" and not isinstance(flags.FLAGS["config"].value, ConfigDict):
        _leave(f"--config: {file} can't be used: its get_config() returns no ConfigDict")
    return words


def config_arguments(argv: list[str]) -> list[str]:
    """Those of a command line that make its config, to hand on to another process.

    Leaves with one line when others may be among them.
    """
    if any(re.match(r"--?flagfile(=|$)", argument) for argument in argv):
        _leave("--flagfile: what is in it can't be handed on; give its flags themselves")
    return [argument for argument in _joined(argv) if re.match(r"--?config[.=]", argument)]


def _joined(argv: list[str]) -> list[str]:
    """Each flag of a config as one argument, --FLAG=VALUE, in whichever way it was given."""
    joined, waiting = [], False
    for argument in argv:
        flag, separator, _ = argument.partition("=")
        without = re.fullmatch(r"--?no(config\.[\w.]+)", argument)
        if waiting:
            joined[-1] += f"={argument}"
            waiting = False
        elif without:
            joined.append(f"--{without[1]}=false")
        elif not separator and re.fullmatch(r"--?config(\.[\w.]+)?", flag):
            waiting = rules.RULES.get(flag.lstrip("-").removeprefix("config.")) != rules.FLAG
            joined.append(flag if waiting else f"{flag}=true")
        else:
            joined.append(argument)
    return joined


def _about_flag(text: str, file: str) -> str:
    """What absl says of a flag, in one line that names it, what it got and what it accepts."""
    match = re.match(r"flag --([\w.]+)=(.*?): ", text, re.DOTALL)
    if not match:
        return f"{_last_line(text)}; --help lists the flags"
    flag, value = match.groups()
    if flag == "config":
        return _about_config(file, text[match.end() :])
    if flag.startswith("config."):
        field = flag.removeprefix("config.")
        return f"{flag}: got {value!a}, accepted is {rules.RULES[field][0]}"
    kind = flags.FLAGS[flag].flag_type()
    accepted = {"int": "an integer", "bool": "true or false"}.get(kind)
    if not accepted:
        return f"{_last_line(text)}; --help lists the flags"
    return f"--{flag}: got {value!a}, accepted is {accepted}"


def _about_config(file: str, error: BaseException | str) -> str:
    kind = "" if isinstance(error, str) else f"{type(error).__name__}: "
    return f"--config: {file} can't be used ({kind}{_last_line(error)})"


def _check_field(argument: str, with_config: bool) -> None:
    match = re.match(r"--?config\.([^=]+)", argument)
    if match and match[1] not in rules.RULES:
        near = difflib.get_close_matches(match[1], rules.RULES, n=1)
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


def _last_line(error: BaseException | str) -> str:
    """The text of an error; of a traceback from within a config file, what went wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


def _leave(text: str) -> NoReturn:
    sys.exit(f"error: {text}")
