"""The restart rules of a JobSet: after a pod ends, restart, restart and count it, or fail.

    {"podFailurePolicy": {"rules": pod_rules("trainer")}, "backoffLimit": 0}      # of the Job
    {"failurePolicy": {"rules": job_set_rules(), "maxRestarts": 50}}              # of the JobSet

When a pod fails, its Job reports only which rule matched, and the JobSet reads only that report. So
each case has its own rule, identified by its index:

    0   the node was taken away or the pod evicted: restart without counting
    1   exit code 1, which no restart would change: fail

Any other end, such as exit code 75, which asks for a restart, a crash or too little memory, matches
no rule. The Job has no retries left, so it fails, and the JobSet restarts all pods, at most
maxRestarts times. Only the first pod that is seen to fail decides: when a node is taken away, that
may be another pod, which left with 75, and the restart is counted.

The patterns match messages of Kubernetes (pkg/controller/job/pod_failure_policy.go). They need
JobSet 0.10; an older one refuses the manifest.
"""

from storage.exit_codes import FAILED


def pod_rules(container: str) -> list[dict]:
    """Returns the rules of the Job's podFailurePolicy; the pods must have restartPolicy Never."""

    def code(value: int) -> dict:
        return {"containerName": container, "operator": "In", "values": [value]}

    taken_away = {"type": "DisruptionTarget", "status": "True"}
    return [
        {"action": "FailJob", "onPodConditions": [taken_away]},
        {"action": "FailJob", "onExitCodes": code(FAILED)},
    ]


def job_set_rules() -> list[dict]:
    """Returns the rules of the JobSet's failurePolicy."""

    def matched(indices: str) -> dict:
        return {
            "onJobFailureReasons": ["PodFailurePolicy"],
            "onJobFailureMessagePatterns": [f"rule at index {indices}$"],
        }

    return [
        {"name": "runAgain", "action": "RestartJobSetAndIgnoreMaxRestarts", **matched("0")},
        {"name": "noUse", "action": "FailJobSet", **matched("1")},
        {
            "name": "outOfTime",
            "action": "FailJobSet",
            "onJobFailureReasons": ["DeadlineExceeded"],
        },
    ]
