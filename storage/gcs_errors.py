"""What the Cloud Storage client raises, as a line for the user.

    with explained("--workdir: gs://bucket/run", bucket="bucket", seconds=120.0):
        blob.upload_from_string(data)

A failed precondition and a missing local file pass as they are: those are answers, not faults.
"""

import contextlib
from collections.abc import Iterator

import requests
from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

from storage.errors import UserError

_ANSWERS = (exceptions.PreconditionFailed, FileNotFoundError, FileExistsError)
_OTHERS = (
    *(exceptions.GoogleAPIError, InvalidResponse, DataCorruption),
    *(requests.RequestException, OSError),
)


@contextlib.contextmanager
def explained(place: str, bucket: str, seconds: float) -> Iterator[None]:
    """Raises UserError instead: `place` and what to do; `seconds` is how long was tried."""
    try:
        yield
    except _ANSWERS:
        raise
    except (GoogleAuthError, *_OTHERS) as error:
        raise UserError(f"{place}: {_advice(error, bucket, seconds)}") from error


def _advice(error: Exception, bucket: str, seconds: float) -> str:
    """What is wrong and what to do, in one line."""
    if isinstance(error, DefaultCredentialsError):
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
            f"no good answer for {seconds:g} s ({reason(error.cause)}); what was saved is intact: "
            "run the same command again when the store answers"
        )
    return f"failed ({reason(error)}); mend that and run the same command again"


def reason(error: BaseException | None) -> str:
    """The server's own words if it has given any, in one line."""
    if isinstance(error, DataCorruption):
        return "the bytes have another checksum"
    text = str(error)
    response = getattr(error, "response", None)
    if response is not None:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            text = response.json()["error"]["message"]
    return " ".join(text.split())[:300]
