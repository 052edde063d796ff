"""A cluster of Kubernetes that longhaul's jobs run in, as JobSets; kubectl talks to it.

    cluster = Cluster(Kubectl("gke_my-project_us-central1_research", "default"))
    cluster.state("imdb-1f0c").text         # 'Running'

Its commands were run by kubectl 1.32 with a stand-in for Kubernetes' API, not with a cluster.
"""

import re
from datetime import datetime
from typing import Any

from deploy.job import Job, check_name
from deploy.targets.gke import states, yaml_text
from deploy.targets.gke.kubectl import JOB_SETS, AlreadyExistsError, Kubectl
from deploy.targets.gke.pod_logs import PodLogs
from deploy.targets.target import Listed, State
from storage.errors import UserError

LABEL = "app.kubernetes.io/name=longhaul"
_QUEUE = "kueue.x-k8s.io/queue-name"


class Cluster:
    """A Remote, see deploy/remote.py. Methods raise UserError when kubectl fails."""

    def __init__(self, kubectl: Kubectl):
        self._kubectl = kubectl

    def submit(self, job: Job, request: dict[str, Any]) -> str:
        """Creates the JobSet and returns its full name. Raises UserError when the name is taken."""
        try:
            self._kubectl.text("create", "--filename=-", stdin=yaml_text.dump(request))
        except AlreadyExistsError as error:
            raise UserError(
                f"--name: the cluster already has a job {job.name}; `status` shows it, and "
                "another --name submits a second one"
            ) from error
        place = self._kubectl
        return f"{place.context}/namespaces/{place.namespace}/jobsets/{job.name}"

    def find(self, name: str) -> State | None:
        """Returns the state of a job, or None when there is none of this name."""
        found = self._get(name)
        if not found:
            return None
        try:
            return self._explained(name, found)
        except UserError as error:  # it is no reason to hide the state
            return states.of_job_set(found)._replace(detail=str(error))

    def state(self, name: str) -> State:
        """Returns the state of a job. Raises UserError when there is no such job."""
        state = self.find(name)
        if state is None:
            raise UserError(
                f"{name}: no such job in namespace {self._kubectl.namespace} of "
                f"{self._kubectl.context}; one that was cancelled is not kept"
            )
        return state

    def cancel(self, name: str) -> None:
        """Deletes a job that is not over, since a JobSet can't be ended and kept."""
        if not self.state(name).over:
            self._delete(name)

    def delete(self, name: str) -> None:
        """Deletes a job that is over. Raises UserError for one that is not."""
        state = self.state(name)
        if not state.over:
            raise UserError(f"{name}: {state.text}, not over; `cancel` ends it and deletes it")
        self._delete(name)

    def log(self, name: str, since: datetime | None) -> PodLogs:
        """Opens the logs of a job's pods."""
        check_name(name)
        return PodLogs(self._kubectl, name, since)

    def jobs(self) -> list[Listed]:
        """Returns longhaul's jobs in the namespace, the newest first."""
        found = self._kubectl.json("get", JOB_SETS, f"--selector={LABEL}").get("items", [])
        created = "creationTimestamp"
        newest_first = sorted(found, key=lambda job: job["metadata"].get(created, ""), reverse=True)
        return [
            Listed(
                job["metadata"]["name"],
                states.of_job_set(job),
                _time(job["metadata"].get(created, "")),
            )
            for job in newest_first
        ]

    def link(self, name: str) -> str:
        """Returns the page of the JobSet's Job in Google's console; "" for another's cluster."""
        if not (place := gke_cluster(self._kubectl.context)):
            return ""
        project, location, cluster = place
        job = f"{location}/{cluster}/{self._kubectl.namespace}/{name.rpartition('/')[2]}-worker-0"
        return f"https://console.cloud.google.com/kubernetes/job/{job}/details?project={project}"

    def recreate(self, name: str) -> str:
        """Raises UserError: a JobSet starts its pods again by itself."""
        raise UserError(
            f"{name}: a JobSet starts its pods again by itself, up to --max_restarts times after "
            "crashes; one that is over is submitted again with the command that submitted it"
        )

    def _get(self, name: str) -> dict[str, Any]:
        check_name(name)
        return self._kubectl.json("get", JOB_SETS, name, "--ignore-not-found")

    def _delete(self, name: str) -> None:
        self._kubectl.text("delete", JOB_SETS, name, "--ignore-not-found", "--wait=false")

    def _explained(self, name: str, job_set: dict[str, Any]) -> State:
        """Returns a job's state with its reason, for which it asks at most twice more."""
        state, labels = states.of_job_set(job_set), job_set["metadata"].get("labels", {})
        if state.text == "Suspended" and _QUEUE in labels:
            uid = f"--selector=kueue.x-k8s.io/job-uid={job_set['metadata'].get('uid', '')}"
            return states.queued(state, self._items("workloads.kueue.x-k8s.io", uid))
        if state.text == "Failed":
            return states.failed(state, self._pods(name))
        if state.text == "Pending" and (pods := self._pods(name)):
            failures = "--field-selector=reason=FailedScaleUp"
            events = self._items("events", failures, "--sort-by=.lastTimestamp")
            return states.pending(state, pods, events)
        return state

    def _pods(self, name: str) -> list[dict[str, Any]]:
        return self._items("pods", f"--selector=jobset.sigs.k8s.io/jobset-name={name}")

    def _items(self, kind: str, *selection: str) -> list[dict[str, Any]]:
        return self._kubectl.json("get", kind, *selection).get("items", [])


def gke_cluster(context: str) -> tuple[str, str, str] | None:
    """Returns (project, location, cluster) from a context that gcloud made; None for others."""
    match = re.fullmatch(r"gke_([a-z0-9:.-]+)_([a-z0-9-]+)_([a-z0-9-]+)", context, re.ASCII)
    return (match[1], match[2], match[3]) if match else None


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None
