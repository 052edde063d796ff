"""Flags that a user sets once, in deploy.toml, and where the value of each flag is from.

    defaults = read("vertex", given={"workers": 3})
    defaults.given          # {"region": "us-central1", "workers": 3}

The files are ~/.config/longhaul/deploy.toml and deploy.toml in the checkout, which counts more:

    project = "my-project"              # any flag, for all targets that have it
    bucket = "gs://my-bucket"           # --workdir=runs/imdb is then gs://my-bucket/runs/imdb
    [tpu_vm]                            # for one target
    zone = "us-west4-a"
    [prices]                            # of an hour, for what a job can cost at most
    "g2-standard-12" = 1.0
"""

import difflib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deploy.checks import one_line
from deploy.defaults import COMMAND_LINE, Defaults, Setting
from deploy.google_project import VARIABLE
from deploy.targets import target as targets
from deploy.user_folders import user_folder
from storage.errors import UserError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FILE = "deploy.toml"
_CHECKOUT = Path(__file__).resolve().parents[1]
_KINDS = {str: "a text in quotes", int: "an integer", bool: "true or false"}
_PRICES, _BUCKET = "prices", "bucket"


def read(target: str, given: Mapping[str, Any]) -> Defaults:
    """Returns the flags of a target: those `given` on the command line, else those of the files.

    Raises UserError when a file can't be read, or holds what no flag accepts.
    """
    found: dict[str, Setting] = {}
    prices: dict[str, Setting] = {}
    for path in paths():
        for table, key, value in _entries(path):
            if table == _PRICES:
                prices[key] = Setting(value, _shown(path))
            elif table == target or (not table and key in {_BUCKET, *targets.field_names(target)}):
                found[key] = Setting(value, _shown(path))
    bucket = found.pop(_BUCKET, None)
    if "project" in targets.field_names(target) and (project := os.environ.get(VARIABLE)):
        found["project"] = Setting(project, VARIABLE)
    found |= {flag: Setting(value, COMMAND_LINE) for flag, value in given.items()}
    return Defaults(found, prices, bucket)


def paths() -> list[Path]:
    """Returns the files, the one that counts less first."""
    return [user_folder("XDG_CONFIG_HOME", "~/.config") / "longhaul" / _FILE, _CHECKOUT / _FILE]


def _entries(path: Path) -> Iterator[tuple[str, str, Any]]:
    """Yields (table, key, value) for each value of a file; those outside of tables first."""
    content = _parsed(path)
    tables = {key: value for key, value in content.items() if isinstance(value, dict)}
    without = {key: value for key, value in content.items() if key not in tables}
    for table, values in {"": without, **tables}.items():
        for key, value in values.items():
            _check(path, table, key, value)
            yield table, key, value


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"{_shown(path)}: can't be read ({one_line(error)}); correct it") from error


def _check(path: Path, table: str, key: str, value: Any) -> None:
    """Raises UserError unless the value is one that the key accepts."""
    place = f"{_shown(path)}: {f'[{table}] ' if table else ''}{key}"
    if table == _PRICES:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
            raise UserError(f"{place}: got {value!r}, accepted is a price, such as 1.25")
        return
    if table and table not in targets.NAMES:
        tables = ", ".join(f"[{name}]" for name in (*targets.NAMES, _PRICES))
        raise UserError(f"{_shown(path)}: [{table}]: no such table; accepted are {tables}")
    kinds = {flag.name: flag.kind for flag in targets.option_flags()}
    if table:
        kinds = {flag: kinds[flag] for flag in targets.field_names(table)}
    else:
        kinds[_BUCKET] = str
    if key not in kinds:
        near = difflib.get_close_matches(key, kinds, n=1)
        hint = f"did you mean {near[0]}?" if near else "`deploy.submit --help` lists the flags"
        raise UserError(f"{place}: no such setting; {hint}")
    if type(value) is not kinds[key]:
        raise UserError(f"{place}: got {value!r}, accepted is {_KINDS[kinds[key]]}")


def _shown(path: Path) -> str:
    home = user_folder("HOME", "~")
    return str(Path("~") / path.relative_to(home)) if path.is_relative_to(home) else str(path)
