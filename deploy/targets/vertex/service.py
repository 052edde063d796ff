"""Vertex AI's jobs of one project and region, over the network, with retries.

    service = TARGET.connect(options)
    service.submit(job, request)
    service.state("imdb").over

A job is named by its display name, its number or its full name. Of several with one display name,
which the service allows, the newest is meant.
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from google.api_core import exceptions
from google.auth.credentials import Credentials
from google.auth.transport.requests import AuthorizedSession
from google.cloud.aiplatform_v1 import JobServiceClient
from google.cloud.aiplatform_v1.types import CreateCustomJobRequest, CustomJob

from deploy import google_api
from deploy.checks import one_line
from deploy.job import Job, check_name
from deploy.remote import Remote
from deploy.targets.target import Listed, State
from deploy.targets.vertex.log_reader import LogReader
from deploy.targets.vertex.request import exit_file_in
from deploy.targets.vertex.states import OVER, state_of, state_with_exit_code
from storage.errors import UserError
from storage.store import open_store

# As google-cloud-aiplatform 2.7.0 prints it; the console calls Vertex AI "Agent Platform".
_CONSOLE = "https://console.cloud.google.com/agent-platform/locations"
_NUMBER = r"[0-9]+"
_FULL_NAME = rf"projects/[a-z0-9-]+/locations/[a-z0-9-]+/customJobs/{_NUMBER}"
_OURS = "labels.app=longhaul"
_Result = TypeVar("_Result")


class VertexService(Remote):
    """A connection to the service. Failed calls are retried for `retry_seconds`."""

    def __init__(
        self,
        parent: str,
        client: JobServiceClient,
        credentials: Credentials,
        logging: str,
        retry_seconds: float,
    ):
        self._parent = parent
        self._client = client
        self._session = AuthorizedSession(credentials)
        self._logging = logging
        self._retry_seconds = retry_seconds
        self._recreated: dict[str, str] = {}  # a number or full name -> the job that replaced it

    def submit(self, job: Job, request: CreateCustomJobRequest) -> str:
        """Submits a job and returns its full name.

        Raises UserError when the name is that of a job that is not over.
        """
        return self._submit(request)

    def recreate(self, name: str) -> str:
        """Submits a job that is over again, as the service has it. Returns its full name.

        From then on each name of the old one means the new one to this connection. Raises UserError
        when there is no such job, or when it is not over.
        """
        job = self._existing(name)
        again = CustomJob(display_name=job.display_name, labels=job.labels, job_spec=job.job_spec)
        # A full name may be of another project than this connection's.
        parent = job.name.partition("/customJobs/")[0]
        created = self._submit(CreateCustomJobRequest(parent=parent, custom_job=again))
        if name != job.display_name:
            self._recreated[name] = created
        return created

    def find(self, name: str) -> State | None:
        """Returns the state of a job, or None when there is none of this name."""
        job = self._find(name)
        return state_with_exit_code(job) if job else None

    def state(self, name: str) -> State:
        """Returns the state of a job. Raises UserError when there is no such job."""
        return state_with_exit_code(self._existing(name))

    def cancel(self, name: str) -> None:
        """Asks the service to end a job, which takes a moment.

        Raises UserError when there is no such job; a job that is over stays unchanged.
        """
        job = self._existing(name)
        if job.state in OVER:
            return
        request = {"name": job.name}
        try:
            self._call("cancel the job", self._client.cancel_custom_job, request=request)
        except UserError:
            if self._existing(job.name).state not in OVER:  # it did not end meanwhile
                raise

    def delete(self, name: str) -> None:
        """Deletes the service's record of a job, and of earlier ones with the same display name.

        Raises UserError when there is no such job, or when it is not over.
        """
        for job in self._all(name) or [self._existing(name)]:
            if job.state not in OVER:
                raise UserError(
                    f"{name}: {job.name} is not over, but {state_of(job).text}; `cancel` it first"
                )
            self._call("delete the job", self._delete, name=job.name)

    def log(self, name: str, since: datetime | None) -> LogReader:
        """Opens the log of all workers. Raises UserError when there is no such job."""
        job = self._existing(name)
        # Without a time only the last day is searched.
        begin = since or job.create_time
        return LogReader(self._session, self._logging, job.name, begin, self._retry_seconds)

    def jobs(self) -> list[Listed]:
        """Returns longhaul's jobs of this project and region, the newest first."""
        return [
            Listed(job.display_name, state_of(job), job.create_time)
            for job in self._read("list the jobs", self._list, parent=self._parent, filter=_OURS)
        ]

    def link(self, name: str) -> str:
        """Returns the URL of a job in Google's console; asks the service unless given a full name.

        Raises UserError when there is no such job.
        """
        full_name = name if re.fullmatch(_FULL_NAME, name) else self._existing(name).name
        _, project, _, region, _, number = full_name.split("/")
        return f"{_CONSOLE}/{region}/training/{number}?project={project}"

    def _read(self, what: str, method: Callable[..., _Result], **arguments: Any) -> _Result:
        return self._call(what, method, changes_nothing=True, **arguments)

    def _call(self, what: str, method: Callable[..., _Result], **arguments: Any) -> _Result:
        try:
            seconds = self._retry_seconds
            return google_api.call(what, method, retry_seconds=seconds, **arguments)
        except exceptions.AlreadyExists as error:
            raise UserError(f"{what}: {one_line(error.message)}; give another --name") from error
        except exceptions.NotFound as error:
            reason = one_line(error.message)
            raise UserError(f"{what}: {reason}; check --project and --region") from error

    def _existing(self, name: str) -> CustomJob:
        job = self._find(name)
        if not job:
            raise UserError(
                f"{name}: no such job in {self._parent}; check the name, --project and --region"
            )
        return job

    def _find(self, name: str) -> CustomJob | None:
        return next(iter(self._all(name)), None)

    def _all(self, name: str) -> list[CustomJob]:
        """Returns the jobs of a name, the newest first."""
        name = self._recreated.get(name, name)
        if re.fullmatch(_NUMBER, name):
            name = f"{self._parent}/customJobs/{name}"
        if re.fullmatch(_FULL_NAME, name):
            return self._read("look for the job", self._get, name=name)
        check_name(name)  # it becomes part of the filter
        return self._named(name, self._parent)

    def _named(self, display_name: str, parent: str) -> list[CustomJob]:
        by_name = f'display_name="{display_name}"'
        return self._read("look for the job", self._list, parent=parent, filter=by_name)

    def _get(self, name: str, timeout: float, retry: Any) -> list[CustomJob]:
        try:
            request = {"name": name}
            return [self._client.get_custom_job(request=request, timeout=timeout, retry=retry)]
        except exceptions.NotFound:
            return []

    def _list(self, parent: str, filter: str, timeout: float, retry: Any) -> list[CustomJob]:
        """Returns jobs, the newest first."""
        request = {"parent": parent, "filter": filter}
        jobs = self._client.list_custom_jobs(request=request, timeout=timeout, retry=retry)
        return sorted(jobs, key=lambda job: job.create_time, reverse=True)

    def _delete(self, name: str, timeout: float, retry: Any) -> None:
        """Starts a deletion. NotFound: a try has deleted it whose response was lost."""
        try:
            self._client.delete_custom_job({"name": name}, timeout=timeout, retry=retry)
        except exceptions.NotFound:
            return

    def _submit(self, request: CreateCustomJobRequest) -> str:
        """Creates a job, unless one of its name is not over, and returns its full name."""
        job = request.custom_job
        earlier = self._named(job.display_name, request.parent)
        for other in earlier:
            if other.state not in OVER:
                raise _name_is_taken(other)
        _delete_exit_file(job)
        known = {other.name for other in earlier}
        return self._call("create the job", self._create, request=request, known=known).name

    def _create(
        self, request: CreateCustomJobRequest, known: set[str], timeout: float, retry: Any
    ) -> CustomJob:
        """Creates the job once, however many retries that takes.

        A try may have created it though its response was lost. So each try looks for it first;
        `known` are the jobs of its name that were there before.
        """
        wanted = request.custom_job

        def create_once() -> CustomJob:
            for job in self._named(wanted.display_name, request.parent):
                if job.name not in known:
                    if not dict(wanted.labels).items() <= dict(job.labels).items():
                        raise _name_is_taken(job)
                    return job
            return self._client.create_custom_job(request, timeout=timeout, retry=None)

        return retry(create_once)()


def _delete_exit_file(job: CustomJob) -> None:
    """Deletes what an earlier job of the same name may have left, so that it isn't read as this's.

    A job can end before its worker, which deletes it too, has started.
    """
    folder, _, name = exit_file_in(job.job_spec).rpartition("/")
    if folder:
        open_store(folder).delete(name)


def _name_is_taken(job: CustomJob) -> UserError:
    alternative = "" if job.state in OVER else ", or cancel that one"
    return UserError(
        f"--name: {job.display_name} exists already as {job.name}, in {state_of(job).text}; give "
        f"another{alternative}"
    )
