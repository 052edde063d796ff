"""Evaluates a config without what only this machine has; deploy/rehearsal.py starts it.

    python -m deploy.clean_process FOLDER here --config=configs/imdb.py     # the fields as JSON

A config finds no files but this code, Python's own and those in FOLDER. It can't start programs,
use the network or import a package that a job's image may lack. With "elsewhere" for "here" it also
sees another date and another machine.
"""

import errno
import functools
import os
import pathlib
import site
import sys
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from configs.schema import evaluate
from deploy import elsewhere

_TREE = Path(__file__).resolve().parents[1]
_PYTHON = ("stdlib", "platstdlib", "purelib", "platlib")
_IMPORTABLE = {"ml_collections", "numpy", *sys.stdlib_module_names}
_OF_FILES = {"open", "os.listdir", "os.scandir"}
_OF_PROGRAMS = {"subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "os.fork"}
_ACCEPTED_IMPORTS = (
    "what a config may import: ml_collections, configs, numpy, Python's own modules and files "
    "beside it"
)


def main(folder: str, place: str, *arguments: str) -> None:
    """Evaluates the config that the arguments give; exits as `configs.schema.evaluate` does."""
    sys.argv = ["evaluate", *arguments]
    if place == "elsewhere":
        elsewhere.pretend()
    installed = {sysconfig.get_paths()[name] for name in _PYTHON}
    installed |= {*site.getsitepackages(), site.getusersitepackages()}
    _restrict([*map(Path, installed), _TREE, Path(folder)])
    evaluate.run()


def _restrict(folders: Sequence[Path]) -> None:
    """Hides files outside of `folders`, and refuses programs, the network and other packages.

    For the rest of the process: an audit hook can't be removed.
    """
    is_hidden = functools.partial(_is_outside, folders)
    for name in ("stat", "lstat", "access"):  # which raise no audit events
        setattr(os, name, _without_hidden(getattr(os, name), is_hidden))
    if accessor := getattr(pathlib, "_NormalAccessor", None):  # Python 3.10 keeps os.stat there
        accessor.stat = staticmethod(os.stat)
    loaded = {name.partition(".")[0] for name in sys.modules}
    neighbours = {path.stem for path in (_TREE / "configs").iterdir()}
    importable = _IMPORTABLE | loaded | neighbours

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _OF_FILES and is_hidden(arguments[0]):
            raise _absence(arguments[0])
        if event in _OF_PROGRAMS:
            name = str(arguments[0]) if arguments else event
            raise SystemExit(f"error: it starts a program ({name!a}), which no config may")
        if event.startswith("socket.") and event != "socket.gethostname":
            raise SystemExit("error: it uses the network, which no config may")
        if event == "import" and arguments[0].partition(".")[0] not in importable:
            raise ImportError(f"{arguments[0]!a} is not among {_ACCEPTED_IMPORTS}")

    sys.addaudithook(audit)


def _is_outside(folders: Sequence[Path], path: Any) -> bool:
    """Returns True for the path of a file that is in none of the folders."""
    if path is None or isinstance(path, int):  # the working folder, and a descriptor
        return False
    absolute = Path(os.path.normpath(Path.cwd() / os.fsdecode(path)))
    return absolute != Path(os.devnull) and not any(map(absolute.is_relative_to, folders))


def _without_hidden(
    call: Callable[..., Any], is_hidden: Callable[[Any], bool]
) -> Callable[..., Any]:
    """Returns a function of `os` that finds no hidden file."""

    @functools.wraps(call)
    def wrapped(path: Any, *arguments: Any, **options: Any) -> Any:
        if not is_hidden(path):
            return call(path, *arguments, **options)
        if call.__name__ == "access":
            return False
        raise _absence(path)

    return wrapped


def _absence(path: Any) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, "Not sent with the code", os.fsdecode(path))


if __name__ == "__main__":
    main(*sys.argv[1:])
