"""A job's log in Cloud Logging, read piece by piece.

    reader = LogReader(AuthorizedSession(credentials), LOGGING, job.name, job.create_time, 120.0)
    for line in reader.read():              # once more later for what has come since
        print(line)

Entries can arrive late and out of order. So each read begins a little before the newest entry that
the last one has seen, and leaves out what it has seen.
"""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import requests
from google.api_core import exceptions
from google.auth.transport.requests import AuthorizedSession

from deploy import google_api
from storage.errors import UserError

LOGGING = "https://logging.googleapis.com"
_ENTRIES_OF_A_PAGE = 1000  # the most that one response holds
_LATEST_ARRIVAL = timedelta(minutes=2)  # after newer entries


class LogReader:
    """Reads the log of one job. Failed calls are retried for `retry_seconds`."""

    def __init__(
        self,
        session: AuthorizedSession,
        logging: str,
        job: str,
        since: datetime,
        retry_seconds: float,
    ):
        """`job` is a full name; `logging` is the URL of Cloud Logging, or of another server."""
        self._session, self._url = session, f"{logging}/v2/entries:list"
        _, self._project, *_, self._number = job.split("/")
        self._since = since
        self._seen: dict[tuple[str, ...], datetime] = {}
        self._retry_seconds = retry_seconds

    def read(self) -> Iterator[str]:
        """Yields the lines since the last call, oldest first; the first call yields all.

        Raises UserError when the log can't be read.
        """
        begin = self._begin()
        self._seen = {key: time for key, time in self._seen.items() if time >= begin}
        for entry in self._entries(begin):
            key = tuple(entry.get(field, "") for field in ("timestamp", "insertId", "logName"))
            if key not in self._seen:
                self._seen[key] = _time(entry, begin)
                yield _line(entry)

    def _begin(self) -> datetime:
        """Returns the time of the first entry to ask for."""
        return max([self._since, *(time - _LATEST_ARRIVAL for time in self._seen.values())])

    def _entries(self, begin: datetime) -> Iterator[dict[str, Any]]:
        """Yields the entries of all pages, oldest first. A page can be empty and not the last."""
        body = {
            "resourceNames": [f"projects/{self._project}"],
            "filter": f'resource.type="ml_job" AND resource.labels.job_id="{self._number}" AND '
            f'timestamp>="{begin.isoformat()}"',
            "orderBy": "timestamp asc",
            "pageSize": _ENTRIES_OF_A_PAGE,
        }
        while True:
            page = self._page(body)
            yield from page.get("entries", [])
            if not (token := page.get("nextPageToken")):
                return
            body["pageToken"] = token

    def _page(self, body: dict[str, Any]) -> dict[str, Any]:
        try:
            seconds = self._retry_seconds
            return google_api.call(
                "read the log", self._post, retry_seconds=seconds, changes_nothing=True, body=body
            )
        except exceptions.NotFound as error:
            raise UserError(f"read the log: {error.message}; check --project") from error

    def _post(self, body: dict[str, Any], timeout: float, retry: Any) -> dict[str, Any]:
        def post() -> dict[str, Any]:
            try:
                response = self._session.post(self._url, json=body, timeout=timeout)
                if not response.ok:
                    raise exceptions.from_http_response(response)
                return response.json()
            except requests.RequestException as error:
                raise exceptions.ServiceUnavailable(str(error)) from error

        return retry(post)()


def _time(entry: dict[str, Any], unknown: datetime) -> datetime:
    """Returns an entry's time in whole seconds."""
    try:
        seconds = datetime.strptime(entry.get("timestamp", "")[:19], "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return unknown
    return seconds.replace(tzinfo=timezone.utc)


def _line(entry: dict[str, Any]) -> str:
    """Returns the time, the worker, such as workerpool0-0, and what it has printed."""
    content = entry.get("jsonPayload", {})
    text = entry.get("textPayload") or content.get("message") or json.dumps(content)
    worker = entry.get("resource", {}).get("labels", {}).get("task_name", "-")
    return f"{entry.get('timestamp', '-')} {worker} {text}".rstrip()
