"""What the end of a pod means for a JobSet: run again, run again and count, or the end.

    {"podFailurePolicy": {"rules": of_pods("trainer")}, "backoffLimit": 0}      # of the Job
    {"failurePolicy": {"rules": of_job_set(), "maxRestarts": 10}}               # of the JobSet

A Job says of a pod's failure no more than which rule it met, and the JobSet reads no more than
that. So each meaning is a rule of its own, known by its place:

    0   the node is taken away or the pod evicted: run again, not counted
    1   exit code 75, which asks to be run again: the same
    2   exit code 1, which no restart mends: the end

Any other end, such as a crash or too little memory, meets no rule. The Job may not try again, so it
fails for that, and the JobSet starts all pods anew, at most maxRestarts times.

What can't be told apart: the first pod that is seen to have failed decides. When the others leave
with 75 in the same moment as one crashes, that start may go uncounted. And nothing limits starts
that all end with 75.

The patterns are for the texts that Kubernetes writes (pkg/controller/job/pod_failure_policy.go) and
need JobSet 0.10; an older one refuses the manifest.
"""


def of_pods(container: str) -> list[dict]:
    """The rules of the Job's podFailurePolicy; the pods must have restartPolicy Never."""

    def code(value: int) -> dict:
        return {"containerName": container, "operator": "In", "values": [value]}

    taken_away = {"type": "DisruptionTarget", "status": "True"}
    return [
        {"action": "FailJob", "onPodConditions": [taken_away]},
        {"action": "FailJob", "onExitCodes": code(75)},
        {"action": "FailJob", "onExitCodes": code(1)},
    ]


def of_job_set() -> list[dict]:
    """The rules of the JobSet's failurePolicy."""

    def met(rules: str) -> dict:
        return {
            "onJobFailureReasons": ["PodFailurePolicy"],
            "onJobFailureMessagePatterns": [f"rule at index {rules}$"],
        }

    return [
        {"name": "runAgain", "action": "RestartJobSetAndIgnoreMaxRestarts", **met("[01]")},
        {"name": "noUse", "action": "FailJobSet", **met("2")},
        {
            "name": "outOfTime",
            "action": "FailJobSet",
            "onJobFailureReasons": ["DeadlineExceeded"],
        },
    ]
