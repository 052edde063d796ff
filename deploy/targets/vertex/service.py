"""Vertex AI's jobs of one project and region, over the network, with retries.

    service = TARGET.connect(options)
    service.submit(job, request)
    service.state("imdb").over

Jobs are found by their display names. The service itself doesn't keep these unique.
"""

import json
from collections.abc import Callable
from typing import Any, TypeVar

import requests
from google.api_core import exceptions
from google.auth.credentials import Credentials
from google.auth.transport.requests import AuthorizedSession
from google.cloud.aiplatform_v1 import JobServiceClient
from google.cloud.aiplatform_v1.types import CreateCustomJobRequest, CustomJob, JobState

from deploy import google_api
from deploy.checks import one_line
from deploy.job import Job, check_name
from deploy.remote import Remote, State
from storage.errors import UserError

LOGGING = "https://logging.googleapis.com"
_LINES = 1000  # of the log; the most that one response holds
_SUCCEEDED = {JobState.JOB_STATE_SUCCEEDED}
_OVER = _SUCCEEDED | {
    JobState.JOB_STATE_FAILED,
    JobState.JOB_STATE_CANCELLED,
    JobState.JOB_STATE_EXPIRED,
    JobState.JOB_STATE_PARTIALLY_SUCCEEDED,
}
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

    def submit(self, job: Job, request: CreateCustomJobRequest) -> str:
        """Submits a job and returns its full name.

        Raises UserError when the name is taken, also by a job that is over.
        """
        existing = self._call("look for the job", self._find, name=job.name)
        if existing:
            raise _name_is_taken(existing)
        return self._call("create the job", self._create, request=request).name

    def state(self, name: str) -> State:
        """Returns the state of a job. Raises UserError when there is no such job."""
        job = self._existing(name)
        detail = one_line(job.error.message)
        return State(job.state.name, job.state in _OVER, job.state in _SUCCEEDED, detail)

    def cancel(self, name: str) -> None:
        """Asks the service to end a job, which takes a moment.

        Raises UserError when there is no such job; a job that is over stays unchanged.
        """
        job = self._existing(name)
        if job.state not in _OVER:
            request = {"name": job.name}
            self._call("cancel the job", self._client.cancel_custom_job, request=request)

    def logs(self, name: str) -> str:
        """Returns the last lines of all workers. Raises UserError when there is no such job."""
        job = self._existing(name)
        since = job.create_time.isoformat()  # without it only the last day is searched
        project, number = job.name.split("/")[1], job.name.rpartition("/")[2]
        body = {
            "resourceNames": [f"projects/{project}"],
            "filter": f'resource.labels.job_id="{number}" AND timestamp>="{since}"',
            "orderBy": "timestamp desc",
            "pageSize": _LINES,
        }
        entries = self._call("read the log", self._entries, body=body)
        return "".join(f"{_log_line(entry)}\n" for entry in reversed(entries))

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
        job = self._call("look for the job", self._find, name=name)
        if not job:
            raise UserError(
                f"{name}: no such job in {self._parent}; check the name, --project and --region"
            )
        return job

    def _find(self, name: str, timeout: float, retry: Any) -> CustomJob | None:
        """Returns the newest job with this display name."""
        check_name(name)  # it becomes part of the filter
        request = {"parent": self._parent, "filter": f'display_name="{name}"'}
        jobs = self._client.list_custom_jobs(request=request, timeout=timeout, retry=retry)
        return max(jobs, key=lambda job: job.create_time, default=None)

    def _create(self, request: CreateCustomJobRequest, timeout: float, retry: Any) -> CustomJob:
        """Creates the job once, however many retries that takes.

        A try may have created it though its response was lost. So each try looks for it first.
        """
        wanted = request.custom_job

        def create_once() -> CustomJob:
            existing = self._find(wanted.display_name, timeout, None)
            if existing and not dict(wanted.labels).items() <= dict(existing.labels).items():
                raise _name_is_taken(existing)
            return existing or self._client.create_custom_job(request, timeout=timeout, retry=None)

        return retry(create_once)()

    def _entries(self, body: dict, timeout: float, retry: Any) -> list[dict]:
        """Returns entries of Cloud Logging, the newest first."""

        def read() -> list[dict]:
            url = f"{self._logging}/v2/entries:list"
            try:
                response = self._session.post(url, json=body, timeout=timeout)
                if not response.ok:
                    raise exceptions.from_http_response(response)
                return response.json().get("entries", [])
            except requests.RequestException as error:
                raise exceptions.ServiceUnavailable(str(error)) from error

        return retry(read)()


def _name_is_taken(job: CustomJob) -> UserError:
    alternative = "" if job.state in _OVER else ", or cancel that one"
    return UserError(
        f"--name: {job.display_name} exists already as {job.name}, in {job.state.name}; give "
        f"another{alternative}"
    )


def _log_line(entry: dict) -> str:
    """Returns the time, the worker, such as workerpool0-0, and what it has printed."""
    content = entry.get("jsonPayload", {})
    text = entry.get("textPayload") or content.get("message") or json.dumps(content)
    worker = entry.get("resource", {}).get("labels", {}).get("task_name", "-")
    return f"{entry.get('timestamp', '-')} {worker} {text}".rstrip()
