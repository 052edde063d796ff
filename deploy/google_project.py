"""The Google Cloud project that a job belongs to, found without asking any service.

project = require_project(options.project)
"""

import os

from deploy.checks import PROJECT, check_matches
from storage.errors import UserError

PROJECT_HELP = "Google Cloud project; by default GOOGLE_CLOUD_PROJECT or the credentials' project."
VARIABLE = "GOOGLE_CLOUD_PROJECT"
_NO_NETWORK = "NO_GCE_CHECK"  # read by google.auth


def project_from_environment(given: str) -> str:
    """Returns `given`, or else the project that GOOGLE_CLOUD_PROJECT names, or else "".

    Raises UserError when that is no project's ID.
    """
    return _checked(given or os.environ.get(VARIABLE, ""))


def require_project(given: str) -> str:
    """Returns the project that `given`, the environment or the user's credentials name.

    Raises UserError when none of them does, or when what they name is no project's ID.
    """
    project = project_from_environment(given) or _checked(_project_of_credentials())
    if not project:
        raise UserError(
            f"--project: not given, and neither {VARIABLE} nor the credentials name one; give it"
        )
    return project


def _checked(project: str) -> str:
    if project:
        check_matches("project", project, PROJECT, "a project's ID, such as my-project-1")
    return project


def _project_of_credentials() -> str:
    """Returns the project of the credentials on this machine's disk; "" when they name none."""
    import google.auth  # takes a moment, and most commands don't need it
    from google.auth.exceptions import DefaultCredentialsError

    before = os.environ.get(_NO_NETWORK)
    # Otherwise google.auth asks a server on the network whether this is one of Google's machines.
    os.environ[_NO_NETWORK] = "true"
    try:
        return google.auth.default()[1] or ""
    except (DefaultCredentialsError, OSError):  # as if there were none; a connection says why
        return ""
    finally:
        del os.environ[_NO_NETWORK]
        if before is not None:
            os.environ[_NO_NETWORK] = before
