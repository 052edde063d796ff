"""A target as a user would add one: its machines take jobs from a folder that they share.

docs/targets.md explains it. A job is NAME.json, which a machine runs; the machine keeps its state
in NAME.state and its output in NAME.log.
"""

import dataclasses
import json
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

from deploy.checks import check_between
from deploy.job import Job
from deploy.remote import Remote
from deploy.service_target import ServiceTarget
from deploy.targets.target import Listed, State
from storage.errors import UserError


@dataclasses.dataclass(frozen=True)
class Options:
    """The flags. Raises UserError for one that is not accepted."""

    folder: Annotated[str, "Folder that the machines take jobs from."]
    max_run_hours: Annotated[int, "Hours after which the job ends."] = 24

    def __post_init__(self) -> None:
        check_between("max_run_hours", self.max_run_hours, 1, 1000, "hours")


class QueueTarget(ServiceTarget):
    """What a submission is on this target."""

    name = "queue"
    located_by = ("folder",)

    def request(self, job: Job, options: Options) -> dict[str, Any]:
        """Returns what a machine needs to run the job."""
        return {"command": job.command, "hours": options.max_run_hours}

    def render(self, request: dict[str, Any]) -> str:
        """Returns a request as JSON."""
        return json.dumps(request, indent=2)

    def equivalent(self, job: Job, options: Options) -> str:
        """Returns a shell command that submits the same job."""
        return f"cat > {job.name}.json  # in {options.folder}, with the request above as its input"

    def prerequisites(self, job: Job, options: Options) -> list[str]:
        """Returns what a job needs before it starts."""
        return [f"a machine that takes jobs from {options.folder}"]

    def machines(self, options: Options) -> tuple[str, int]:
        """Returns what is rented, and how many."""
        return "machine", 1

    def connect(self, options: Options, workdir: str | None = None) -> "Queue":
        """Connects to the folder. Raises UserError when there is none."""
        folder = Path(options.folder)
        if not folder.is_dir():
            raise UserError(f"--folder: got {options.folder!a}, accepted is a folder")
        return Queue(folder)


class Queue(Remote):
    """The connection: what can be asked about a job."""

    def __init__(self, folder: Path):
        self._folder = folder

    def submit(self, job: Job, request: dict[str, Any]) -> str:
        """Puts a job into the folder and returns its path."""
        path = self._path(job.name, "json")
        path.write_text(json.dumps(request))
        return str(path)

    def find(self, name: str) -> State | None:
        """Returns the state that the machine has written."""
        if not self._path(name, "json").exists():
            return None
        state = self._path(name, "state")
        text = state.read_text() if state.exists() else "QUEUED"
        return State(text, text in ("DONE", "FAILED"), text == "DONE", waiting=text == "QUEUED")

    def state(self, name: str) -> State:
        """Returns the state of a job. Raises UserError when there is no such job."""
        state = self.find(name)
        if state is None:
            raise UserError(f"{name}: no such job in {self._folder}; check --folder")
        return state

    def cancel(self, name: str) -> None:
        """Ends a job: a machine stops when its file is gone."""
        self.state(name)
        self.delete(name)

    def delete(self, name: str) -> None:
        """Removes the job from the folder."""
        self._path(name, "json").unlink()

    def log(self, name: str, since: datetime | None) -> "Log":
        """Opens the job's output."""
        return Log(self._path(name, "log"))

    def jobs(self) -> list[Listed]:
        """Returns the jobs in the folder, the newest first."""
        paths = sorted(self._folder.glob("*.json"), key=_time, reverse=True)
        return [Listed(path.stem, self.state(path.stem), _time(path)) for path in paths]

    def link(self, name: str) -> str:
        """Returns "": there is no console."""
        return ""

    def recreate(self, name: str) -> str:
        """Raises UserError: no state of this target is `taken_away`."""
        raise UserError(f"{name}: a machine of the queue takes it again by itself")

    def _path(self, name: str, ending: str) -> Path:
        return self._folder / f"{name}.{ending}"


class Log:
    """The output of a job, read piece by piece."""

    def __init__(self, path: Path):
        self._path, self._read = path, 0

    def read(self) -> Iterator[str]:
        """Yields the lines since the last call."""
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        yield from lines[self._read :]
        self._read = len(lines)


def _time(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)


TARGET = QueueTarget()
