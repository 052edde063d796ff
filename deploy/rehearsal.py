"""Evaluates a job's config as the job's machines will, from the archive that they get.

    rehearsal.check(archive, ("--config=configs/imdb.py", "--config.seed=1"), config)

On this machine a config may read a file, an environment variable or the clock, and be accepted; in
the job it would fail once the machines are paid for, or give a run that can't be resumed.
"""

import contextlib
import json
import os
import site
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import ml_collections

from configs.schema import command_line, rules
from deploy.checks import one_line
from deploy.package import Archive
from storage.errors import UserError

_PLACES = ("here", "elsewhere")  # see deploy/clean_process.py
_KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH")
_SECONDS = 60  # for a config, which takes a tenth of one
_LONGEST_SHOWN = 60  # characters of a value


def check(archive: Archive, arguments: Sequence[str], config: ml_collections.ConfigDict) -> None:
    """Raises UserError unless the arguments give `config` in the job too, each time.

    Evaluates them twice, in processes that have only the archive's code: the second one with
    another date, hash seed and host name. `arguments` may hold others than those of the config.
    """
    given = command_line.config_arguments(list(arguments))
    here = _through_json(rules.flatten(config))
    with tempfile.TemporaryDirectory(prefix="longhaul-") as folder, contextlib.ExitStack() as stack:
        places = [Path(folder).resolve() / place for place in _PLACES]
        processes = []
        for place in places:
            processes.append(stack.enter_context(_start(archive, given, place)))
            stack.callback(processes[-1].kill)  # after an error of another one
        pairs = zip(processes, places, strict=True)
        first, second = (_fields(*pair, here.keys()) for pair in pairs)
    _require_same_each_time(first, second)
    _require_same_here(here, first)


def _require_same_each_time(first: dict[str, Any], second: dict[str, Any]) -> None:
    for field, value in first.items():
        if value != second[field]:
            raise UserError(
                f"config.{field}: got {_shown(value)}, and {_shown(second[field])} when evaluated "
                "again; a config must give the same values each time: this one reads the clock, "
                "random numbers or the machine, and a run with it could never be resumed"
            )


def _require_same_here(here: dict[str, Any], job: dict[str, Any]) -> None:
    for field, value in here.items():
        if value != job[field]:
            raise UserError(
                f"config.{field}: got {_shown(value)} here, but the job would get "
                f"{_shown(job[field])}: the config reads an environment variable or a file that "
                f"only this machine has; write the value into it, or give --config.{field}=VALUE"
            )


def _start(archive: Archive, arguments: Sequence[str], place: Path) -> subprocess.Popen[str]:
    """Starts the evaluation in a folder of its own, which holds the code and an empty folder."""
    _extract(archive, place / "code")
    empty = place / "empty"
    empty.mkdir()
    (code,) = (place / "code").iterdir()
    return subprocess.Popen(  # noqa: S603 - this project's own module
        [sys.executable, "-m", "deploy.clean_process", str(empty), place.name, *arguments],
        cwd=empty,
        env=_environment(code, empty),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
    )


def _environment(code: Path, empty: Path) -> dict[str, str]:
    """Returns the variables of a job that has nothing of this user's."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return {
        **kept,
        "HOME": str(empty),
        "TMPDIR": str(empty),
        "PYTHONPATH": str(code),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": str(1 + _PLACES.index(empty.parent.name)),
        # Where packages of `pip install --user` are, which would else be looked for below HOME.
        "PYTHONUSERBASE": site.getuserbase(),
    }


def _extract(archive: Archive, folder: Path) -> None:
    with tarfile.open(archive.path) as opened:
        for member in opened:
            content = opened.extractfile(member)
            if content is not None:
                path = folder / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.read())


def _fields(process: subprocess.Popen[str], place: Path, names: Collection[str]) -> dict[str, Any]:
    """Returns the fields that a process prints; UserError when it ends with an error."""
    try:
        output, errors = process.communicate(timeout=_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise UserError(f"--config: not evaluated within {_SECONDS} s; simplify it") from error
    if process.returncode == 0:
        with contextlib.suppress(IndexError, ValueError):  # it wrote there itself, or nothing came
            fields = json.loads(output.splitlines()[-1])
            if isinstance(fields, dict) and fields.keys() == names:
                return fields
    line = one_line((errors.splitlines() or ["it ended without a word"])[-1])
    kind, _, reason = line.partition(": ")
    if kind != "error":
        reason = f"--config: can't be used ({line})"
    (code,) = (place / "code").iterdir()
    raise UserError(
        f"{reason.replace(f'{code}/', '')}; it was evaluated as in the job, without this machine's "
        "other files, environment variables and network"
    )


def _through_json(fields: dict[str, Any]) -> dict[str, Any]:
    """Returns the fields as a process prints them: tuples become lists."""
    return json.loads(json.dumps(fields))


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
