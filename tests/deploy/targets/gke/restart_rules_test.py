"""The restart rules of a manifest, applied as Kubernetes and JobSet apply them."""

import re

import pytest

from tests.deploy.targets.gke.jobs import job_set


def action_after(manifest, code, taken_away=False):
    """Applies the rules as Kubernetes and JobSet do, and returns the action of the JobSet."""
    spec = manifest["spec"]["replicatedJobs"][0]["template"]["spec"]
    reason, message = "BackoffLimitExceeded", "Job has reached the specified backoff limit"
    conditions = [{"type": "DisruptionTarget", "status": "True"}] if taken_away else []
    for index, rule in enumerate(spec["podFailurePolicy"]["rules"]):
        codes = rule.get("onExitCodes", {}).get("values", [])
        if code in codes or any(c in conditions for c in rule.get("onPodConditions", [])):
            reason = "PodFailurePolicy"
            message = f"Pod default/imdb-1 ... matching {rule['action']} rule at index {index}"
            break
    for rule in manifest["spec"]["failurePolicy"]["rules"]:
        patterns = rule.get("onJobFailureMessagePatterns", [""])
        if reason in rule["onJobFailureReasons"] and any(re.search(p, message) for p in patterns):
            return rule["action"]
    return "RestartJobSet"


@pytest.mark.parametrize(
    ("code", "taken_away", "action"),
    [
        (75, False, "RestartJobSet"),  # counted, since it may be for a lasting reason
        (75, True, "RestartJobSetAndIgnoreMaxRestarts"),
        (137, True, "RestartJobSetAndIgnoreMaxRestarts"),
        (1, True, "RestartJobSetAndIgnoreMaxRestarts"),
        (1, False, "FailJobSet"),
        (137, False, "RestartJobSet"),  # too little memory
        (139, False, "RestartJobSet"),  # a crash
    ],
)
def test_end_of_a_pod_leads_to(code, taken_away, action):
    assert action_after(job_set({"workers": 3}), code, taken_away) == action


def test_job_that_takes_too_long_is_not_restarted():
    rules = job_set({})["spec"]["failurePolicy"]["rules"]
    assert ["DeadlineExceeded"] in [
        rule["onJobFailureReasons"] for rule in rules if rule["action"] == "FailJobSet"
    ]
