"""The files of a config from outside the tree, and their places among the tree's own configs.

    config_files.add(Path("my/config.py"), source)      # a copy of the tree, about to be packed

A config may import files beside it: helper.py, or a folder helper with __init__.py. They become
files beside the tree's configs, where the job imports them as this machine does; see
configs/schema/command_line.py.
"""

import ast
import re
import shutil
import sys
from importlib.machinery import PathFinder
from pathlib import Path

from deploy import secret_files
from storage.errors import UserError

_NAME = r"[a-z_][a-z0-9_]*\.py"
_IMPORTABLE = {"ml_collections", "configs", "numpy", *sys.stdlib_module_names}


def add(config: Path, source: Path) -> None:
    """Copies a config and the files beside it that it imports into the tree at `source`.

    Raises UserError when a name is taken or can't be imported, for an import of anything else, and
    for a file that looks like a credential.
    """
    if not re.fullmatch(_NAME, config.name):
        raise UserError(
            f"--config: got {config.name!a}, accepted is a file name of a-z, 0-9 and '_' that "
            "ends with .py and doesn't begin with a digit; rename it"
        )
    for file in _with_helpers(config, source):
        if reason := secret_files.reason_of(file):
            raise UserError(f"--config: {str(file)!a}: {reason}; it can't be sent with the code")
        place = source / "configs" / file.relative_to(config.parent)
        if place.exists() and place.read_bytes() != file.read_bytes():
            raise UserError(
                f"--config: {str(file)!a}: {place.relative_to(source)} exists and is another "
                "file; rename yours"
            )
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)


def _with_helpers(config: Path, source: Path) -> list[Path]:
    """Returns the config's file and those that it imports, and those that these import."""
    found: list[Path] = []
    waiting = [config]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.append(file)
            for name in sorted(_imports(file, is_inside_helper=file.parent != config.parent)):
                if name not in _IMPORTABLE:
                    waiting += _helper(name, file, config.parent, source)
    return found


def _helper(name: str, importer: Path, folder: Path, source: Path) -> list[Path]:
    """Returns the files of the module or package `name` in the config's folder."""
    module, package = folder / f"{name}.py", folder / name / "__init__.py"
    if not module.is_file() and not package.is_file():
        raise UserError(
            f"--config: {str(importer)!a}: imports {name!a}, which is not sent with the code; "
            "accepted are ml_collections, configs, numpy, Python's own modules and files beside "
            "the config"
        )
    # The first one of a name is imported, and the config's folder is searched last.
    elsewhere = [path for path in sys.path if Path(path).resolve() != folder.resolve()]
    if PathFinder.find_spec(name, [str(source), *elsewhere]):
        raise UserError(
            f"--config: {str(importer)!a}: imports {name!a}, which is another module than the file "
            "beside the config; rename that file"
        )
    return [module] if module.is_file() else sorted(package.parent.rglob("*.py"))


def _imports(file: Path, is_inside_helper: bool) -> set[str]:
    """Returns the packages that a file imports, anywhere in it.

    A relative import counts as one of ".", except in a helper's folder, all of which is sent.
    """
    found = set()
    for node in ast.walk(_parsed(file)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module).partition(".")[0])
        elif isinstance(node, ast.ImportFrom) and not is_inside_helper:
            found.add(".")
    return found


def _parsed(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise UserError(f"--config: {str(file)!a}: can't be parsed ({error}); mend it") from error
