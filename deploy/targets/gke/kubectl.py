"""kubectl, run as a process: its output, or its error as one line that says what to do.

kubectl = Kubectl("gke_my-project_us-central1_research", "default")
kubectl.json("get", "pods")["items"]
"""

import json
import re
import subprocess
from typing import Any, NoReturn

from deploy.checks import one_line
from deploy.remote import Unreachable
from storage.errors import UserError

# A context may be named after anything; `gcloud` names it gke_PROJECT_LOCATION_CLUSTER.
CONTEXT = r"(?:[A-Za-z0-9][A-Za-z0-9._:/@-]{0,252})?"
JOB_SETS = "jobsets.jobset.x-k8s.io"
RELEASE = "https://github.com/kubernetes-sigs/{}/releases/latest/download/manifests.yaml"
_SECONDS = 120.0  # for a command; the largest output is a long job's log
_LONGEST_LINE = 140  # characters of kubectl's own message
_UNREACHABLE = r"Unable to connect|connection refused|i/o timeout|no such host"
# Pattern in an error of kubectl -> what it means, and what to do.
_ADVICE = {
    r"context .*(not found|does not exist)": (
        "no such context; `kubectl config get-contexts` lists them, and `gcloud container clusters "
        "get-credentials` adds a cluster's"
    ),
    r"current-context is not set": "give --context; `kubectl config get-contexts` lists them",
    r"no matches for kind \"JobSet\"|resource type \"jobsets": (
        f"no JobSet in the cluster: kubectl apply --server-side -f {RELEASE.format('jobset')}"
    ),
    r"resource type \"workloads": (
        "no Kueue in the cluster, so that a job with --queue never starts: kubectl apply "
        f"--server-side -f {RELEASE.format('kueue')}"
    ),
    r"\(Forbidden\)": "not allowed; roles/container.developer on the project allows it",
    r"namespaces? \"[^\"]*\" not found": "no such namespace; `kubectl create namespace` makes it",
    r"gke-gcloud-auth-plugin": (
        "the plugin for credentials is missing: gcloud components install gke-gcloud-auth-plugin"
    ),
    r"[Uu]nauthorized|must be logged in": "no valid credentials: gcloud auth login",
    _UNREACHABLE: "the cluster can't be reached; a private one only from its own network",
}


class AlreadyExistsError(UserError):
    """The cluster has a resource of this name."""


class Kubectl:
    """Runs kubectl in one namespace of one context. Methods raise UserError when it fails."""

    def __init__(self, context: str, namespace: str):
        self.context, self.namespace = context, namespace

    def text(self, *arguments: str, stdin: str = "") -> str:
        """Returns what a command prints."""
        place = (f"--context={self.context}", f"--namespace={self.namespace}")
        return _run(*place, *arguments, stdin=stdin)

    def json(self, *arguments: str) -> dict[str, Any]:
        """Returns what a command finds; {} when it prints nothing."""
        printed = self.text(*arguments, "--output=json")
        try:
            found = json.loads(printed or "{}")
        except ValueError as error:
            raise UserError(f"kubectl {arguments[0]}: printed no JSON ({error})") from error
        return found if isinstance(found, dict) else {}


def current_context() -> str:
    """Returns kubectl's current context. Raises UserError when there is none."""
    return _run("config", "current-context").strip()


def _run(*arguments: str, stdin: str = "") -> str:
    try:
        done = subprocess.run(  # noqa: S603
            ["kubectl", *arguments],  # noqa: S607
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise UserError(
            "kubectl: not found; install it (gcloud components install kubectl), or leave out "
            "--apply and --context, and hand the manifest over yourself"
        ) from error
    except OSError as error:
        raise UserError(f"kubectl: can't be run ({error.strerror}); install it again") from error
    except subprocess.TimeoutExpired as error:
        raise Unreachable(
            f"kubectl: no answer in {_SECONDS:.0f} seconds; check that the cluster can be reached"
        ) from error
    if done.returncode:
        _fail(done.stderr)
    return done.stdout


def _fail(printed: str) -> NoReturn:
    """Raises the UserError for what kubectl printed on standard error."""
    lines = [line for line in printed.splitlines() if line.strip()]
    message = one_line(lines[-1] if lines else "no message")[:_LONGEST_LINE]
    shown = "".join(c if c.isprintable() else "?" for c in message)
    if "(AlreadyExists)" in shown:
        raise AlreadyExistsError(f"kubectl: {shown}")
    for pattern, advice in _ADVICE.items():
        if re.search(pattern, printed):
            kind = Unreachable if pattern == _UNREACHABLE else UserError
            raise kind(f"kubectl: {shown}: {advice}")
    raise UserError(f"kubectl: {shown}")
