"""The jobs that were submitted from this machine, so that a name is enough to follow one.

    add(Record("imdb-1f0c", "vertex", {"region": "us-central1"}, "gs://bucket/runs/imdb"))
    record = find("imdb-1f0c")

A line of JSON each in ~/.local/state/longhaul/jobs.jsonl. The services know the jobs too; this file
only says where to ask.
"""

import contextlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from deploy.messages import say
from deploy.targets import target as targets
from deploy.user_folders import user_folder
from storage import json_object


class Record(NamedTuple):
    """Where a job was submitted to."""

    name: str
    target: str
    options: dict[str, Any]  # the flags that find it again
    workdir: str


def add(record: Record) -> None:
    """Records a job. It is submitted already, so a failure is only a warning."""
    path = _path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record._asdict()) + "\n")
    except OSError as error:
        say(f"{path}: not written ({error.strerror}); follow the job with the flags below")


def find(name: str) -> Record | None:
    """Returns the last record of a name."""
    return next((record for record in reversed(every()) if record.name == name), None)


def every() -> list[Record]:
    """Returns all records of known targets, the oldest first; other lines are left out."""
    try:
        lines = _path().read_text(encoding="utf-8", errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError) as error:
        say(f"{_path()}: can't be read ({error}); give the job's --target and its other flags")
        return []
    records = []
    for line in lines:
        with contextlib.suppress(ValueError, TypeError):  # a process was killed as it wrote
            records.append(Record(**json_object.parse(line)))
    return [record for record in records if _is_usable(record)]


def _is_usable(record: Record) -> bool:
    """Returns False for a job of another checkout's target, and for fields of other types."""
    texts = (record.name, record.target, record.workdir)
    if not isinstance(record.options, dict) or not all(isinstance(text, str) for text in texts):
        return False
    flags = record.options.values()
    return record.target in targets.NAMES and all(isinstance(f, str | int) for f in flags)


def _path() -> Path:
    return user_folder("XDG_STATE_HOME", "~/.local/state") / "longhaul" / "jobs.jsonl"
