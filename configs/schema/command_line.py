"""The command line of every command that takes `--config=FILE --config.section.field=VALUE`.

_CONFIG = command_line.define_config()      # _CONFIG.value is the config, or None

def run() -> None:
    command_line.run(main)                  # main(argv), once the flags are parsed

command_line.parsed_value(config, "model.layer_sizes", "(64,32)")       # (64, 32)
"""

import contextlib
import difflib
import functools
import re
import sys
from collections.abc import Callable
from logging import Formatter
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from configs.schema import config_fault, rules
from configs.schema.config_fault import last_line
from storage import standard_streams
from storage.errors import UserError
from storage.exit_codes import FAILED

_CONFIGS = Path(__file__).parents[1]
_HELP = {"--help", "-help", "-h", "--helpshort", "--helpfull"}


def define_config() -> flags.FlagHolder:
    """Defines the flag --config, whose value is a ConfigDict, or None when it isn't given."""
    try:
        return config_flags.DEFINE_config_file(
            "config", None, "File with get_config(); --config.x.y=VALUE overrides a field of it."
        )
    # It reads the command line, and the file of a --flagfile, when it is defined.
    except flags.Error as error:
        _exit(last_line(error))


def run(main: Callable[[list[str]], None]) -> None:
    """Parses the flags and calls `main` with the arguments that are not flags.

    --help prints the docstring and the flags of the module that defines `main`.
    """
    standard_streams.guard()
    logging.get_absl_handler().python_handler.setStream(sys.stderr)
    logging.get_absl_handler().setFormatter(Formatter("%(levelname)s: %(message)s"))
    logging.set_verbosity(logging.WARNING)
    module = sys.modules[main.__module__]
    exit_code: str | int | None = FAILED
    try:
        app.run(main, flags_parser=functools.partial(_parse, module=module))
    except SystemExit as end:
        exit_code = end.code
        raise
    finally:
        standard_streams.finish(exit_code)


def config_arguments(argv: list[str]) -> list[str]:
    """Returns the arguments that make up the config, for the command line of another process.

    Exits with one line when a --flagfile may hold more of them.
    """
    if any(re.match(r"--?flagfile(=|$)", argument) for argument in argv):
        _exit("--flagfile: what is in it can't be handed on; give its flags themselves")
    return [argument for argument in _joined(argv) if re.match(r"--?config[.=]", argument)]


def parsed_value(config: ConfigDict, field: str, text: str) -> Any:
    """Returns what --config.FIELD=TEXT would give an existing field; leaves `config` as it is.

    Raises UserError when the text is no value of the field's type.
    """
    argument = f"--config.{field}={text}"
    command, values = ["", argument], flags.FlagValues()
    changed = config.copy_and_resolve_references()
    config_flags.DEFINE_config_dict("config", changed, flag_values=values, sys_argv=command)
    try:
        values(command)
    except flags.Error as error:
        accepted = rules.RULES[field].accepted
        raise UserError(f"config.{field}: got {text!a}, accepted is {accepted}") from error
    return rules.flatten(changed)[field]


def _parse(argv: list[str], module: ModuleType) -> list[str]:
    """Parses the flags and returns the other arguments.

    Exits with code 1 and one line that says what is wrong with them. A config file that is not in
    the working folder is looked for among the installed ones. It can import files beside it.
    """
    if _HELP.intersection(argv):  # absl would exit with code 1
        _print_help(module, full="--helpfull" in argv)
        sys.exit()
    argv = _without_repeated([_with_underscores(argument) for argument in _joined(argv)])
    for argument in argv:
        _check_field(argument, with_config=_config_file(argv) is not None)
    argv = [_with_found_config(argument) for argument in argv]
    file = _config_file(argv)
    if file is not None:
        _make_neighbours_importable(file)
    try:
        # What a config file prints must not mix with the command's own output.
        with contextlib.redirect_stdout(sys.stderr):
            others = flags.FLAGS(argv)
    except flags.Error as error:
        _exit(_describe_flag_error(str(error), str(file)))
    # A config file is a program: it may raise anything, and exit.
    except (Exception, SystemExit) as error:
        _exit(f"--config: {config_fault.describe(str(file), error)}")
    if file is not None:
        _check_is_config(file, flags.FLAGS["config"].value)
    return others


def _with_underscores(argument: str) -> str:
    """Returns an argument with the flag's own name, --dry_run, when it is given as --dry-run."""
    flag, separator, value = argument.partition("=")
    name = flag.lstrip("-").replace("-", "_")
    is_known = flag.startswith("--") and name in flags.FLAGS
    return f"--{name}{separator}{value}" if is_known else argument


def _without_repeated(argv: list[str]) -> list[str]:
    """Returns the arguments with the last value alone of a field that is given several times.

    Of a tuple absl would put all of them behind each other.
    """
    fields = [re.match(r"--?(config\.[^=]+)=", argument) for argument in argv]
    last = {match[1]: place for place, match in enumerate(fields) if match}
    numbered = enumerate(zip(argv, fields, strict=True))
    return [word for place, (word, match) in numbered if not match or last[match[1]] == place]


def _config_file(argv: list[str]) -> str | None:
    """Returns the config file that the arguments, in one form, name."""
    return next((a.partition("=")[2] for a in argv if re.match(r"--?config=", a)), None)


def _make_neighbours_importable(file: str) -> None:
    """Appends the config file's folder to sys.path: last, so that it hides no module."""
    folder = str(Path(file).resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)


def _check_is_config(file: str, value: Any) -> None:
    """Exits unless the value of --config is a ConfigDict."""
    if isinstance(value, ConfigDict):
        return
    try:
        # After an OSError of the config file this is an object that raises it when it is used.
        hasattr(value, "lock")
    except OSError as error:
        _exit(f"--config: {config_fault.describe(file, error.__cause__ or error)}")
    _exit(f"--config: {file} can't be used: its get_config() returns no ConfigDict")


def _print_help(module: ModuleType, full: bool) -> None:
    """Prints the docstring of a command's module and its flags; with `full`, absl's flags too."""
    # absl keeps the flags of a module that runs as a program under the name of the program.
    name = sys.argv[0] if module.__name__ == "__main__" else module.__name__
    flags.FLAGS.register_key_flag_for_module(name, flags.FLAGS["config"])
    own = flags.FLAGS.module_help(name).lstrip().partition("\n")[2]  # without the name
    print(f"{module.__doc__}\nflags:\n{flags.FLAGS.get_help() if full else own}")


def _joined(argv: list[str]) -> list[str]:
    """Returns the arguments with each flag of a config in one form, --FLAG=VALUE."""
    joined: list[str] = []
    lacks_value = False
    for argument in argv:
        flag, separator, _ = argument.partition("=")
        negated = re.fullmatch(r"--?no(config\.[\w.]+)", argument)
        if lacks_value:
            joined[-1] += f"={argument}"
            lacks_value = False
        elif negated:
            joined.append(f"--{negated[1]}=false")
        elif not separator and re.fullmatch(r"--?config(\.[\w.]+)?", flag):
            lacks_value = rules.RULES.get(flag.lstrip("-").removeprefix("config.")) != rules.FLAG
            joined.append(flag if lacks_value else f"{flag}=true")
        else:
            joined.append(argument)
    return joined


def _describe_flag_error(text: str, file: str) -> str:
    """Returns absl's error about a flag as one line: the flag, what it got, what it accepts."""
    match = re.match(r"flag --([\w.]+)=(.*?): ", text, re.DOTALL)
    if not match:
        return f"{last_line(text)}; --help lists the flags"
    flag, value = match.groups()
    if flag == "config":
        return f"--config: {config_fault.describe(file, text[match.end() :])}"
    if flag.startswith("config."):
        field = flag.removeprefix("config.")
        return f"{flag}: got {value!a}, accepted is {rules.RULES[field].accepted}"
    known = flags.FLAGS[flag]
    integers = known.parser.syntactic_help  # with their bounds
    accepted = {"int": integers, "bool": "true or false"}.get(known.flag_type())
    if not accepted:
        return f"{last_line(text)}; --help lists the flags"
    return f"--{flag}: got {value!a}, accepted is {accepted}"


def _check_field(argument: str, with_config: bool) -> None:
    """Exits when an argument overrides a field that doesn't exist, or a config that isn't given."""
    match = re.match(r"--?config\.([^=]+)", argument)
    if match and match[1] not in rules.RULES:
        near = difflib.get_close_matches(match[1], rules.RULES, n=1)
        hint = f"did you mean config.{near[0]}?" if near else "configs/default.py holds them all"
        _exit(f"config.{match[1]}: no such field; {hint}")
    if match and not with_config:
        _exit(f"config.{match[1]}: nothing to override; give --config=FILE as well")


def _with_found_config(argument: str) -> str:
    """Returns a --config argument with the path of an installed config; any other unchanged."""
    flag, separator, name = argument.partition("=")
    if flag.lstrip("-") != "config" or not separator or Path(name).is_file():
        return argument
    installed = _CONFIGS / Path(name).name
    if Path(name).parent.name != _CONFIGS.name or not installed.is_file():
        known = sorted(path.name for path in _CONFIGS.glob("*.py") if path.stem != "__init__")
        _exit(f"--config: {name} does not exist; accepted is a file, or configs/{'|'.join(known)}")
    return f"{flag}={installed}"


def _exit(text: str) -> NoReturn:
    """Exits with code 1 and one line on standard error."""
    sys.exit(f"error: {text}")
