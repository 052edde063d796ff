"""Calls to Google's services, with a bounded time for retries and errors of one line.

response = call("create the job", client.create_custom_job, request=request)
"""

import os
from collections.abc import Callable
from typing import Any

import google.auth
from google.api_core import exceptions, retry
from google.auth.credentials import Credentials
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError

from deploy.checks import one_line
from deploy.remote import QuotaExhausted, Unreachable
from storage.errors import UserError

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
RETRY_SECONDS = 120.0  # how long a call is retried
_TRANSIENT = (
    exceptions.ServiceUnavailable,
    exceptions.InternalServerError,
    exceptions.GatewayTimeout,
    exceptions.DeadlineExceeded,
)
_TIMEOUT = 30.0  # seconds for one try
_LONGEST_REASON = 300  # characters
_RESOURCE_EXHAUSTED = 8  # of google.rpc.Code
_STOCKOUT = (
    *("stockout", "no more capacity", "insufficient capacity", "resources are insufficient"),
    *("enough resources", "resource_pool_exhausted"),
)


def credentials() -> Credentials:
    """Returns the credentials of the environment. Raises UserError when there are none."""
    try:
        return google.auth.default(scopes=[SCOPE])[0]
    except (DefaultCredentialsError, OSError) as error:
        raise UserError(_no_credentials(error)) from error


def call(
    what: str,
    method: Callable,
    *,
    retry_seconds: float = RETRY_SECONDS,
    changes_nothing: bool = False,
    **arguments: Any,
) -> Any:
    """Calls a client's method and returns its response; retries transient errors.

    The exhausted quota of a call that changes nothing is one of calls in a minute, which pass.
    Raises UserError, with `what` failed and what to do about it; Unreachable when retries did not
    help, QuotaExhausted when they would not. NotFound and AlreadyExists are not
    translated, since only the caller knows what they mean.
    """
    transient = (*_TRANSIENT, exceptions.TooManyRequests) if changes_nothing else _TRANSIENT
    is_transient = retry.if_exception_type(*transient)
    retries = retry.Retry(
        predicate=is_transient, initial=0.2, maximum=10.0, multiplier=2.0, timeout=retry_seconds
    )
    try:
        return method(**arguments, timeout=_TIMEOUT, retry=retries)
    except (exceptions.NotFound, exceptions.AlreadyExists):
        raise
    except DefaultCredentialsError as error:
        raise UserError(f"{what}: {_no_credentials(error)}") from error
    except exceptions.TooManyRequests as error:
        raise QuotaExhausted(f"{what}: {_advice(error)}") from error
    except (exceptions.RetryError, *_TRANSIENT) as error:
        raise Unreachable(f"{what}: {_advice(error)}") from error
    except (exceptions.GoogleAPIError, GoogleAuthError) as error:
        raise UserError(f"{what}: {_advice(error)}") from error


def enum_name(value: Any) -> str:
    """Returns the name of an enum's value; its number when it is newer than the client library."""
    return getattr(value, "name", str(value))


def is_stockout(code: int, message: str) -> bool:
    """Returns True when an error of a job says that a place has no machines; others may have some.

    `code` is one of google.rpc.Code. An exhausted quota, and a program that ran out of memory, are
    no stockout though their code may be the same.
    """
    text = message.lower()
    if "quota" in text or "memory" in text:
        return False
    return code == _RESOURCE_EXHAUSTED or any(word in text for word in _STOCKOUT)


def _no_credentials(error: Exception) -> str:
    if path := os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
        reason = _reason(error)
        return (
            f"GOOGLE_APPLICATION_CREDENTIALS: {path!a} holds no credentials ({reason}); unset the "
            "variable or correct the file"
        )
    return "no credentials for Google Cloud; run `gcloud auth application-default login`"


def _reason(error: Exception) -> str:
    return one_line(getattr(error, "message", error))[:_LONGEST_REASON]


def _advice(error: Exception) -> str:
    """Returns what an error means for the user and what to do, in one line."""
    if isinstance(error, exceptions.RetryError):
        error = error.cause or error  # the error of the last try
    reason = _reason(error)
    if isinstance(error, exceptions.Unauthenticated | exceptions.Unauthorized | GoogleAuthError):
        return (
            f"the credentials were not accepted ({reason}); run `gcloud auth application-default "
            "login`"
        )
    if isinstance(error, exceptions.Forbidden):
        return (
            f"not permitted ({reason}); the prerequisites that --dry_run lists have the roles, and "
            "the commands that grant them"
        )
    if isinstance(error, exceptions.TooManyRequests):
        return (
            f"quota exhausted ({reason}); ask for more, choose another region or machine, or try "
            "later"
        )
    if isinstance(error, exceptions.BadRequest):
        return f"refused ({reason}); change the flag that it names"
    return f"the service failed ({reason}); run the same command again"
