"""The interface of a connection to a service that runs jobs, such as Vertex AI.

remote = target.connect(options)        # of a ServiceTarget, such as vertex
remote.state("imdb-1f0c").text
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Protocol

from deploy.job import Job
from deploy.targets.target import Listed, State
from storage.errors import UserError


class QuotaExhausted(UserError):
    """A job was not created since a quota is used up; at another place it may not be."""


class Unreachable(UserError):
    """A service did not answer, for all the retries; a job that it has goes on meanwhile."""


class LogReader(Protocol):
    """A job's log, read piece by piece."""

    def read(self) -> Iterator[str]:
        """Yields the lines since the last call, oldest first; the first call yields all."""
        ...


class Remote(Protocol):
    """A connection to a service. Its methods raise UserError for what a user can correct.

    A name is that of a job, or what the service calls it, where parse_full_name knows the form.
    """

    def submit(self, job: Job, request: Any) -> str:
        """Submits a job and returns its full name.

        Raises UserError when another submission of this name was faster, QuotaExhausted when the
        place has no quota for it.
        """
        ...

    def find(self, name: str) -> State | None:
        """Returns the state of a job, or None when there never was one of this name."""
        ...

    def state(self, name: str) -> State:
        """Returns the state of a job. Raises UserError when there is no such job."""
        ...

    def cancel(self, name: str) -> None:
        """Ends a job for good; a job that is over stays unchanged."""
        ...

    def delete(self, name: str) -> None:
        """Removes what the service has of a job; the files in its workdir stay."""
        ...

    def log(self, name: str, since: datetime | None) -> LogReader:
        """Opens the log of a job, from a point in time on."""
        ...

    def jobs(self) -> list[Listed]:
        """Returns longhaul's jobs at this place, the newest first."""
        ...

    def link(self, name: str) -> str:
        """Returns the URL of a job in the service's console; "" when it has none.

        For a full name it asks no service, so that it can't fail once a job is submitted.
        """
        ...

    def recreate(self, name: str) -> str:
        """Submits a job again whose state is `taken_away`, as it was. Returns its full name."""
        ...
