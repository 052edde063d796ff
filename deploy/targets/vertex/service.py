"""The jobs of one project and region on Vertex AI, as they are there.

    vertex = deploy.vertex.connect(options)
    vertex.submit(job, request)
    vertex.state("imdb").over

They are looked up by their display names, which the service itself doesn't care about: it would
take the same one twice.
"""

import json
from typing import Any

import requests
from google.api_core import exceptions
from google.auth.credentials import Credentials
from google.auth.transport.requests import AuthorizedSession
from google.cloud.aiplatform_v1 import JobServiceClient
from google.cloud.aiplatform_v1.types import CreateCustomJobRequest, CustomJob, JobState

from deploy import google_api
from deploy.job import Job, State, check_name
from storage.errors import UserError

LOGGING = "https://logging.googleapis.com"
_LINES = 1000  # of the log; the most that one answer holds
_SUCCEEDED = {JobState.JOB_STATE_SUCCEEDED}
_OVER = _SUCCEEDED | {
    JobState.JOB_STATE_FAILED,
    JobState.JOB_STATE_CANCELLED,
    JobState.JOB_STATE_EXPIRED,
    JobState.JOB_STATE_PARTIALLY_SUCCEEDED,
}


class Vertex:
    """A deploy.job.Remote. Every call is repeated for `patience` seconds when it has to be."""

    def __init__(
        self,
        parent: str,
        client: JobServiceClient,
        credentials: Credentials,
        logging: str = LOGGING,
        patience: float = 120.0,
    ):
        self._parent = parent
        self._client = client
        self._session = AuthorizedSession(credentials)
        self._logging = logging
        self._patience = patience

    def submit(self, job: Job, request: CreateCustomJobRequest) -> str:
        """The new job's full name; UserError when there is one of that name, over or not."""
        there = self._call("look for the job", self._find, name=job.name)
        if there:
            raise _exists(there)
        return self._call("create the job", self._create, request=request).name

    def state(self, name: str) -> State:
        """UserError when there is no such job."""
        job = self._existing(name)
        detail = " ".join(job.error.message.split())
        return State(job.state.name, job.state in _OVER, job.state in _SUCCEEDED, detail)

    def cancel(self, name: str) -> None:
        """Asks for the end of a job; the service takes a moment. UserError when there is none."""
        job = self._existing(name)
        if job.state not in _OVER:
            request = {"name": job.name}
            self._call("cancel the job", self._client.cancel_custom_job, request=request)

    def logs(self, name: str) -> str:
        """The last lines of all workers; UserError when there is no such job."""
        job = self._existing(name)
        since = job.create_time.isoformat()  # or no more than a day is looked at
        project, number = job.name.split("/")[1], job.name.rpartition("/")[2]
        body = {
            "resourceNames": [f"projects/{project}"],
            "filter": f'resource.labels.job_id="{number}" AND timestamp>="{since}"',
            "orderBy": "timestamp desc",
            "pageSize": _LINES,
        }
        entries = self._call("read the log", self._entries, body=body)
        return "".join(f"{_line(entry)}\n" for entry in reversed(entries))

    def _call(self, what: str, method, **arguments: Any) -> Any:
        try:
            return google_api.call(what, method, patience=self._patience, **arguments)
        except (exceptions.NotFound, exceptions.AlreadyExists) as error:
            mend = (
                "give another --name"
                if isinstance(error, exceptions.AlreadyExists)
                else "check --project and --region"
            )
            reason = " ".join(error.message.split())
            raise UserError(f"{what}: {reason}; {mend}") from error

    def _existing(self, name: str) -> CustomJob:
        job = self._call("look for the job", self._find, name=name)
        if not job:
            raise UserError(
                f"{name}: no such job in {self._parent}; check the name, --project and --region"
            )
        return job

    def _find(self, name: str, timeout: float, retry: Any) -> CustomJob | None:
        """The newest of that name."""
        check_name(name)  # it goes into the filter
        request = {"parent": self._parent, "filter": f'display_name="{name}"'}
        jobs = self._client.list_custom_jobs(request=request, timeout=timeout, retry=retry)
        return max(jobs, key=lambda job: job.create_time, default=None)

    def _create(self, request: CreateCustomJobRequest, timeout: float, retry: Any) -> CustomJob:
        """Creates once, however often it takes.

        A try that failed may have been carried out and only its answer lost: so each looks first.
        """
        wanted = request.custom_job

        def once() -> CustomJob:
            there = self._find(wanted.display_name, timeout, None)
            if there and not dict(wanted.labels).items() <= dict(there.labels).items():
                raise _exists(there)
            return there or self._client.create_custom_job(request, timeout=timeout, retry=None)

        return retry(once)()

    def _entries(self, body: dict, timeout: float, retry: Any) -> list[dict]:
        def once() -> list[dict]:
            url = f"{self._logging}/v2/entries:list"
            try:
                response = self._session.post(url, json=body, timeout=timeout)
                if not response.ok:
                    raise exceptions.from_http_response(response)
                return response.json().get("entries", [])
            except requests.RequestException as error:
                raise exceptions.ServiceUnavailable(str(error)) from error

        return retry(once)()


def _exists(there: CustomJob) -> UserError:
    mend = "" if there.state in _OVER else ", or cancel that one"
    return UserError(
        f"--name: {there.display_name} exists already as {there.name}, in {there.state.name}; give "
        f"another{mend}"
    )


def _line(entry: dict) -> str:
    """Time, worker such as workerpool0-0, and what it has printed."""
    content = entry.get("jsonPayload", {})
    text = entry.get("textPayload") or content.get("message") or json.dumps(content)
    worker = entry.get("resource", {}).get("labels", {}).get("task_name", "-")
    return f"{entry.get('timestamp', '-')} {worker} {text}".rstrip()
