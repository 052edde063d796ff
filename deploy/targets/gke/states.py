"""The state of a JobSet, from what Kubernetes says of it, of its pods and of its place in a queue.

    State("Pending", ...) = of_job_set(job_set)         # from the JobSet alone
    state = pending(of_job_set(job_set), pods, scale_ups)    # with the reason

All arguments are JSON objects as `kubectl get --output=json` prints them. Written from the
documentation and source of Kubernetes, JobSet and Kueue, and not tried on a cluster.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from deploy.checks import one_line
from deploy.targets.target import State

Object = Mapping[str, Any]
_LONGEST = 400  # characters of a reason


def of_job_set(job_set: Object) -> State:
    """Returns the state that a JobSet's own conditions say."""
    restarts = _restarts(job_set)
    for text, succeeded in (("Completed", True), ("Failed", False)):
        if condition := _condition(job_set, text, "True"):
            return State(text, True, succeeded, _joined(_reason(condition), restarts))
    if _condition(job_set, "Suspended", "True") or job_set.get("spec", {}).get("suspend"):
        return State("Suspended", False, False, restarts, waiting=True)
    roles = job_set.get("status", {}).get("replicatedJobsStatus") or [{}]
    if all(role.get("ready") for role in roles):
        return State("Running", False, False, restarts)
    return State("Pending", False, False, restarts, waiting=True)


def queued(state: State, workloads: Sequence[Object]) -> State:
    """Returns the state of a suspended job with the reason that Kueue gives."""
    for workload in workloads:
        for text in ("QuotaReserved", "Admitted"):
            if condition := _condition(workload, text, "False"):
                return _with(state, _reason(condition))
        for check in workload.get("status", {}).get("admissionChecks", []):
            if check.get("state") != "Ready":
                return _with(state, f"{check.get('name')}: {check.get('message', '')}")
    return _with(state, "" if workloads else "Kueue has not seen it yet; its queue may not exist")


def pending(state: State, pods: Sequence[Object], scale_ups: Sequence[Object]) -> State:
    """Returns the state of a job whose pods do not all run, with the reason.

    `scale_ups` are the events that say that no machine could be made for a pod.
    """
    names = {pod["metadata"]["name"] for pod in pods}
    for pod in pods:
        if condition := _condition(pod, "PodScheduled", "False"):
            failed = [e for e in scale_ups if e.get("involvedObject", {}).get("name") in names]
            reason = failed[-1] if failed else condition
            return _with(state, _reason(reason))._replace(no_capacity=bool(failed))
    for pod in pods:
        for waiting in _containers(pod, "waiting"):
            return _with(state, f"{_index(pod)}: {_reason(waiting)}")._replace(waiting=False)
    if any(_containers(pod, "running") for pod in pods):
        return state._replace(text="Running", waiting=False)
    return state


def failed(state: State, pods: Sequence[Object]) -> State:
    """Returns the state of a failed job, with the exit code of the first pod that failed."""
    ends = [(pod, end) for pod in pods for end in _containers(pod, "terminated")]
    ends = [(pod, end) for pod, end in ends if end.get("exitCode")]
    if not ends:
        return state
    pod, end = min(ends, key=lambda found: str(found[1].get("finishedAt", "")))
    return _with(state, f"{_index(pod)} ended with {end['exitCode']} ({end.get('reason', '')})")


def _condition(found: Object, kind: str, status: str) -> Object | None:
    for condition in found.get("status", {}).get("conditions") or []:
        if condition.get("type") == kind and condition.get("status") == status:
            return condition
    return None


def _containers(pod: Object, what: str) -> list[Object]:
    """Returns what is known of the pod's containers that are waiting, running or terminated."""
    found = pod.get("status", {}).get("containerStatuses") or []
    return [status["state"][what] for status in found if what in status.get("state", {})]


def _index(pod: Object) -> str:
    labels = pod["metadata"].get("labels", {})
    return f"pod {labels.get('batch.kubernetes.io/job-completion-index', pod['metadata']['name'])}"


def _restarts(job_set: Object) -> str:
    number = job_set.get("status", {}).get("restarts", 0)
    return f"restarted {number} times" if number else ""


def _reason(found: Object) -> str:
    return _joined(*(found.get(key, "") for key in ("reason", "message")), separator=": ")


def _with(state: State, reason: str) -> State:
    return state._replace(detail=_joined(reason, state.detail))


def _joined(*parts: str, separator: str = "; ") -> str:
    text = one_line(separator.join(filter(None, parts)))[:_LONGEST]
    return "".join(c if c.isprintable() else "?" for c in text)
