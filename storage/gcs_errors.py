"""Turns errors of the Cloud Storage client into one line for the user.

    session.hooks["response"].append(normalize)
    with explained("--workdir: gs://bucket/run", bucket="bucket", seconds=120.0):
        blob.upload_from_string(data)

A failed precondition and a missing local file are raised unchanged: callers handle them.
"""

import contextlib
import json
import logging
import os
import re
from collections.abc import Iterator
from typing import Any

import requests
from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

from storage.errors import UserError

# The line for the user says what these would warn of during retries.
for _name in ("google.auth", "urllib3"):
    logging.getLogger(_name).setLevel(logging.ERROR)

_HANDLED_BY_CALLERS = (exceptions.PreconditionFailed, FileNotFoundError, FileExistsError)
_OTHERS = (
    *(exceptions.GoogleAPIError, InvalidResponse, DataCorruption),
    *(requests.RequestException, OSError),
)
_SAYING = ("message", "error", "errors", "error_description")  # fields of an error body
_LONGEST_REASON = 300  # characters


def normalize(response: requests.Response, **_: Any) -> None:
    """Gives the body of an error the documented form, whatever form it has; a hook of `requests`.

    The client raises AttributeError for an error body of another form, also where it would retry.
    """
    if response.status_code >= 400:
        message = readable(response.content) or f"status {response.status_code}"
        # There is no public way to replace a response's body.
        response._content = json.dumps({"error": {"message": message}}).encode()


def has_to_be_sent_again(error: Exception, has_precondition: bool) -> bool:
    """Returns True for an upload whose bytes arrived damaged, or whose session was given up.

    A server answers a wrong checksum with 400, an emulator also with 412, as if a precondition had
    failed. With a precondition the caller looks at the object and decides: the object of another
    process may be gone by then, so what is there now tells nothing.

    404 or 410 to a chunk is the end of its session. The client doesn't begin another one
    (https://github.com/googleapis/python-storage/issues/26). A missing bucket is found earlier, by
    the request that begins a session.
    """
    if isinstance(error, exceptions.PreconditionFailed):
        return not has_precondition
    if isinstance(error, (exceptions.BadRequest, DataCorruption)):
        return True
    if not isinstance(error, exceptions.GoogleAPICallError) or error.response is None:
        return False
    return error.code in (404, 410) and error.response.request.method == "PUT"


@contextlib.contextmanager
def explained(place: str, bucket: str, seconds: float) -> Iterator[None]:
    """Raises UserError for errors of the client, with `place` and what to do.

    `seconds` is how long requests were retried.
    """
    try:
        yield
    except _HANDLED_BY_CALLERS:
        raise
    except (GoogleAuthError, *_OTHERS) as error:
        raise UserError(f"{place}: {_advice(error, bucket, seconds)}") from error


def _advice(error: Exception, bucket: str, seconds: float) -> str:
    """Returns what is wrong and what to do, in one line."""
    if isinstance(error, DefaultCredentialsError):
        if os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
            return f"the file in GOOGLE_APPLICATION_CREDENTIALS can't be used ({reason(error)})"
        return (
            "no credentials for Google Cloud; run `gcloud auth application-default login`, or set "
            "GOOGLE_APPLICATION_CREDENTIALS to the file of a service account"
        )
    if isinstance(error, (exceptions.Unauthorized, GoogleAuthError)):
        return (
            f"the credentials were not accepted ({reason(error)}); renew them with `gcloud auth "
            "application-default login`, or give those of a service account"
        )
    if isinstance(error, exceptions.Forbidden):
        return (
            f"not permitted ({reason(error)}); grant the account the role "
            "roles/storage.objectUser on the bucket"
        )
    if isinstance(error, exceptions.NotFound):
        return (
            f"there is no bucket {bucket} ({reason(error)}); give another one, or make it with "
            f"`gcloud storage buckets create gs://{bucket}`"
        )
    if isinstance(error, exceptions.RetryError):
        return (
            f"no good answer for {seconds:g} s ({reason(error.cause)}); run the same command again "
            "when the store answers"
        )
    return f"failed ({reason(error)}); fix that and run the same command again"


def reason(error: BaseException | None) -> str:
    """Returns the server's own message if there is one, otherwise the error's, in one line."""
    if isinstance(error, DataCorruption):
        return "the bytes have another checksum"
    if isinstance(error, requests.ConnectionError):
        return _system_reason(error)
    response = getattr(error, "response", None)
    said = None if response is None else readable(response.content)
    return said or _one_line(str(error))


def readable(body: bytes) -> str:
    """Returns what the body of an error says, in one line; "" for an empty one."""
    text = body.decode("utf-8", "replace")
    try:
        content = json.loads(text)
        # The first of several errors is given twice.
        return _one_line("; ".join(dict.fromkeys(_messages(content))) or (text if content else ""))
    except (ValueError, RecursionError):  # a page or a text, of a proxy for example
        return _one_line(re.sub(r"(?is)<(style|script).*?</\1>|<[^>]*>", " ", text))


def _messages(content: Any) -> Iterator[str]:
    """Yields the messages in an error's JSON."""
    if isinstance(content, dict):
        found = [content[key] for key in _SAYING if key in content]
        for value in found or [json.dumps(content)]:
            yield from _messages(value)
    elif isinstance(content, list):
        for value in content:
            yield from _messages(value)
    elif content not in (None, ""):
        yield str(content)


def _one_line(text: str) -> str:
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:_LONGEST_REASON]


def _system_reason(error: BaseException | None) -> str:
    """Returns the operating system's message about a connection, from inside the wrapped errors."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        if isinstance(error, OSError) and error.strerror:
            return error.strerror
        inner = getattr(error, "reason", None) or next(
            (part for part in error.args if isinstance(part, BaseException)), None
        )
        error = inner or error.__cause__ or error.__context__
    return "the connection broke"
