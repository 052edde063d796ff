"""Calls to Google's services, with bounded retries, and their errors in one line.

response = call("vertex", "create the job", client.create_custom_job, request=request)
"""

from collections.abc import Callable
from typing import Any

from google.api_core import exceptions, retry
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError

from storage.errors import UserError

_TRANSIENT = retry.if_exception_type(
    exceptions.ServiceUnavailable,
    exceptions.InternalServerError,
    exceptions.GatewayTimeout,
    exceptions.DeadlineExceeded,
)
_TIMEOUT = 30.0  # seconds of one try
_PATIENCE = 120.0  # seconds of all tries


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
        raise UserError(
            f"{what}: no credentials for Google Cloud; run `gcloud auth application-default login`"
        ) from error
    except (exceptions.GoogleAPIError, GoogleAuthError) as error:
        raise UserError(f"{what}: {_advice(error)}") from error


def _advice(error: Exception) -> str:
    reason = " ".join(str(getattr(error, "message", error)).split())[:300]
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
