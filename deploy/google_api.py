"""Calls to Google's services, with bounded retries, and their errors in one line.

response = call("create the job", client.create_custom_job, request=request)
"""

import os
from collections.abc import Callable
from typing import Any

import google.auth
from google.api_core import exceptions, retry
from google.auth.credentials import Credentials
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError

from deploy.checks import PROJECT, matching
from storage.errors import UserError

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_TRANSIENT = retry.if_exception_type(
    exceptions.ServiceUnavailable,
    exceptions.InternalServerError,
    exceptions.GatewayTimeout,
    exceptions.DeadlineExceeded,
)
_NO_NETWORK = "NO_GCE_CHECK"  # google.auth's own variable
_TIMEOUT = 30.0  # seconds of one try
_PATIENCE = 120.0  # seconds of all tries


def project(given: str) -> str:
    """The project that `given` or the environment of gcloud's users names; asks no service.

    Raises UserError when none does.
    """
    found = given or os.environ.get("GOOGLE_CLOUD_PROJECT", "") or _project_of_credentials()
    if not found:
        raise UserError(
            "--project: not given, and neither GOOGLE_CLOUD_PROJECT nor the credentials name one; "
            "give it"
        )
    matching("project", found, PROJECT, "a project's ID, such as my-project-1")
    return found


def credentials() -> Credentials:
    """Those of the environment; UserError when there are none."""
    try:
        return google.auth.default(scopes=[SCOPE])[0]
    except DefaultCredentialsError as error:
        raise UserError(_no_credentials(error)) from error


def call(what: str, method: Callable, *, patience: float = _PATIENCE, **arguments: Any) -> Any:
    """What `method` of a client answers; transient errors are tried again for `patience` seconds.

    Raises UserError, `what` and how to mend it; NotFound and AlreadyExists pass as they are, since
    the caller knows what they mean.
    """
    again = retry.Retry(
        predicate=_TRANSIENT, initial=0.2, maximum=10.0, multiplier=2.0, timeout=patience
    )
    try:
        return method(**arguments, timeout=_TIMEOUT, retry=again)
    except (exceptions.NotFound, exceptions.AlreadyExists):
        raise
    except DefaultCredentialsError as error:
        raise UserError(f"{what}: {_no_credentials(error)}") from error
    except (exceptions.GoogleAPIError, GoogleAuthError) as error:
        raise UserError(f"{what}: {_advice(error)}") from error


def _project_of_credentials() -> str:
    """Of those on this machine's disk: a machine of Google's would be asked over the network."""
    before = os.environ.get(_NO_NETWORK)
    os.environ[_NO_NETWORK] = "true"
    try:
        return google.auth.default()[1] or ""
    except DefaultCredentialsError:
        return ""
    finally:
        del os.environ[_NO_NETWORK]
        if before is not None:
            os.environ[_NO_NETWORK] = before


def _no_credentials(error: DefaultCredentialsError) -> str:
    if path := os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
        reason = _line(error)
        return f"GOOGLE_APPLICATION_CREDENTIALS: {path!a} holds none ({reason}); unset or mend it"
    return "no credentials for Google Cloud; run `gcloud auth application-default login`"


def _line(error: Exception) -> str:
    return " ".join(str(getattr(error, "message", error)).split())[:300]


def _advice(error: Exception) -> str:
    if isinstance(error, exceptions.RetryError):
        error = error.cause or error  # the last one's, after a long time
    reason = _line(error)
    if isinstance(error, exceptions.Unauthenticated | exceptions.Unauthorized | GoogleAuthError):
        return (
            f"the credentials were not accepted ({reason}); run `gcloud auth application-default "
            "login`"
        )
    if isinstance(error, exceptions.Forbidden):
        return f"not permitted ({reason}); have the role it names granted to your account"
    if isinstance(error, exceptions.TooManyRequests):
        return (
            f"quota exhausted ({reason}); ask for more of it, take another region or machine, or "
            "try later"
        )
    if isinstance(error, exceptions.BadRequest):
        return f"refused ({reason}); change the flag that it names"
    return f"no good answer ({reason}); run the same command again"
