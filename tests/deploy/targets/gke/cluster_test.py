"""Jobs in a cluster: submitting, states with their reasons, listing, ending."""

import datetime

import pytest

from deploy.targets.gke.cluster import Cluster, gke_cluster
from deploy.targets.gke.kubectl import Kubectl
from deploy.targets.target import State
from tests.deploy.examples import refusal
from tests.deploy.targets.gke.jobs import job_set, make_gke_job
from tests.fakes.kubectl import CONTEXT, JOB_SETS, WORKLOADS

NAME = "imdb-1"


def submit(cluster, **flags):
    return cluster.submit(make_gke_job(), job_set(flags))


def condition(kind, status="True", reason="", message=""):
    return {"type": kind, "status": status, "reason": reason, "message": message}


def show(kubectl, conditions=(), restarts=0, ready=0, **changes):
    """Replaces the job's JobSet by one with this status."""
    job = {**job_set({}), **changes}
    job["metadata"] = {**job["metadata"], "uid": "uid-1"}
    role = {"name": "worker", "ready": ready}
    status = {"conditions": list(conditions), "restarts": restarts, "replicatedJobsStatus": [role]}
    kubectl.put(JOB_SETS, {**job, "status": status})


def show_pod(kubectl, index, **status):
    labels = {
        "jobset.sigs.k8s.io/jobset-name": NAME,
        "batch.kubernetes.io/job-completion-index": str(index),
    }
    metadata = {"name": f"{NAME}-worker-0-{index}-x7k2p", "labels": labels}
    kubectl.put("pods", {"metadata": metadata, "status": status})


def container(**state):
    return [{"name": "trainer", "state": state}]


def test_a_submission_creates_the_job_set_from_standard_input(kubectl, cluster):
    assert submit(cluster, workers=3) == f"{CONTEXT}/namespaces/default/jobsets/{NAME}"
    (call,) = kubectl.calls("create")
    assert call["arguments"][2:] == ["create", "--filename=-"]
    assert call["stdin"].startswith("apiVersion: jobset.x-k8s.io/v1alpha2")


def test_a_name_that_is_taken_is_refused_and_its_job_unchanged(kubectl, cluster):
    submit(cluster)
    line = refusal(submit, cluster, workers=3)
    assert line.startswith(f"--name: the cluster already has a job {NAME}")
    assert len(cluster.jobs()) == 1


def test_a_submission_to_a_cluster_without_jobset_is_refused(kubectl, cluster):
    kubectl.remove(JOB_SETS)
    assert "no JobSet in the cluster" in refusal(submit, cluster)


def test_a_job_that_does_not_exist(cluster):
    assert cluster.find(NAME) is None
    assert refusal(cluster.state, NAME).startswith(f"{NAME}: no such job in namespace default of")


@pytest.mark.parametrize("name", ["--all", "a;b", "a/b", ""])
def test_an_impossible_name_never_reaches_kubectl(kubectl, cluster, name):
    for call in (cluster.state, cluster.cancel, cluster.delete, cluster.find):
        assert "--name: got " in refusal(call, name)
    assert "--name: got " in refusal(cluster.log, name, None)
    assert not kubectl.calls()


@pytest.mark.parametrize(
    ("shown", "state"),
    [
        (
            {"conditions": [condition("Completed", message="jobset completed")]},
            State("Completed", True, True, "jobset completed"),
        ),
        (
            {"conditions": [condition("Failed", reason="FailedJobs", message="m")], "restarts": 3},
            State("Failed", True, False, "FailedJobs: m; restarted 3 times"),
        ),
        ({"ready": 1, "restarts": 1}, State("Running", False, False, "restarted 1 times")),
        ({}, State("Pending", False, False, waiting=True)),
        (
            {"conditions": [condition("Suspended")]},
            State("Suspended", False, False, waiting=True),
        ),
        (
            {"conditions": [condition("Suspended", "False")], "ready": 1},
            State("Running", False, False),
        ),
    ],
)
def test_state_is_what_the_conditions_say(kubectl, cluster, shown, state):
    show(kubectl, **shown)
    assert cluster.state(NAME) == state


def test_a_failed_job_names_the_exit_code_of_the_first_pod_that_failed(kubectl, cluster):
    show(kubectl, [condition("Failed", reason="FailedJobs")])
    for index, code, time in ((0, 75, "T2"), (1, 137, "T1"), (2, 0, "T0")):
        end = {"exitCode": code, "reason": "OOMKilled", "finishedAt": time}
        show_pod(kubectl, index, containerStatuses=container(terminated=end))
    assert cluster.state(NAME).detail == "pod 1 ended with 137 (OOMKilled); FailedJobs"


def test_a_pod_without_a_node_waits_with_the_schedulers_reason(kubectl, cluster):
    show(kubectl)
    message = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    unscheduled = condition("PodScheduled", "False", "Unschedulable", message)
    show_pod(kubectl, 0, phase="Pending", conditions=[unscheduled])
    detail = f"Unschedulable: {message}"
    assert cluster.state(NAME) == State("Pending", False, False, detail, waiting=True)
    show_scale_up(kubectl, "another-pod")
    assert not cluster.state(NAME).no_capacity
    show_scale_up(kubectl, f"{NAME}-worker-0-0-x7k2p")
    state = cluster.state(NAME)
    assert state.no_capacity and state.waiting
    assert state.detail == "FailedScaleUp: Node scale up failed: GCE out of resources"


def show_scale_up(kubectl, pod):
    message = "Node scale up failed: GCE out of resources"
    event = {"reason": "FailedScaleUp", "message": message, "involvedObject": {"name": pod}}
    kubectl.put("events", {"metadata": {"name": f"{pod}.1"}, **event})


def test_an_image_that_can_not_be_pulled_is_named(kubectl, cluster):
    show(kubectl)
    waiting = {"reason": "ErrImagePull", "message": 'pull "i:1"\nfailed: not found'}
    show_pod(kubectl, 1, phase="Pending", containerStatuses=container(waiting=waiting))
    detail = 'pod 1: ErrImagePull: pull "i:1" failed: not found'
    assert cluster.state(NAME) == State("Pending", False, False, detail)


def test_a_job_with_a_pod_that_runs_is_running(kubectl, cluster):
    show(kubectl)
    show_pod(kubectl, 0, phase="Running", containerStatuses=container(running={}))
    assert cluster.state(NAME) == State("Running", False, False)


@pytest.mark.parametrize(
    ("status", "detail"),
    [
        (
            {"conditions": [condition("QuotaReserved", "False", "Pending", "no unused quota")]},
            "Pending: no unused quota",
        ),
        (
            {"admissionChecks": [{"name": "dws", "state": "Pending", "message": "ETA 2 h"}]},
            "dws: ETA 2 h",
        ),
        (None, "Kueue has not seen it yet; its queue may not exist"),
    ],
)
def test_a_queued_job_has_the_reason_that_kueue_gives(kubectl, cluster, status, detail):
    show(kubectl, [condition("Suspended")], **job_set({"queue": "lstm"}))
    if status:
        labels = {"kueue.x-k8s.io/job-uid": "uid-1"}
        kubectl.put(WORKLOADS, {"metadata": {"name": "w", "labels": labels}, "status": status})
    assert cluster.state(NAME) == State("Suspended", False, False, detail, waiting=True)


def test_a_job_whose_reason_can_not_be_read_is_shown_and_can_be_cancelled(kubectl, cluster):
    show(kubectl, [condition("Suspended")], **job_set({"queue": "lstm"}))
    kubectl.remove(WORKLOADS)
    state = cluster.state(NAME)
    assert state.text == "Suspended" and "no Kueue in the cluster" in state.detail
    cluster.cancel(NAME)
    assert cluster.find(NAME) is None


def test_state_asks_kubectl_at_most_three_times(kubectl, cluster):
    show(kubectl)
    show_pod(kubectl, 0, conditions=[condition("PodScheduled", "False")])
    cluster.state(NAME)
    assert len(kubectl.calls()) == 3


def test_jobs_are_listed_newest_first(kubectl, cluster):
    for name, day in (("older", 1), ("newer", 2)):
        job = job_set({})
        job["metadata"] |= {"name": name, "creationTimestamp": f"2026-01-0{day}T00:00:00Z"}
        kubectl.put(JOB_SETS, job)
    kubectl.put(JOB_SETS, {"metadata": {"name": "anothers"}})
    newer, older = cluster.jobs()
    assert (newer.name, older.name) == ("newer", "older")
    assert newer.created == datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)
    assert newer.state.text == "Pending"


def test_cancel_deletes_a_job_that_is_not_over(kubectl, cluster):
    show(kubectl, ready=1)
    assert "`cancel` ends it" in refusal(cluster.delete, NAME)
    cluster.cancel(NAME)
    assert cluster.find(NAME) is None


def test_a_job_that_is_over_is_kept_by_cancel_and_removed_by_delete(kubectl, cluster):
    show(kubectl, [condition("Completed")])
    cluster.cancel(NAME)
    assert cluster.state(NAME).succeeded
    cluster.delete(NAME)
    assert cluster.find(NAME) is None


def test_a_job_can_not_be_recreated_since_it_restarts_by_itself(cluster):
    assert "starts its pods again by itself" in refusal(cluster.recreate, NAME)


def test_link_leads_to_the_job_of_a_cluster_that_gcloud_named(cluster):
    for name in (NAME, submit(cluster)):
        assert cluster.link(name) == (
            "https://console.cloud.google.com/kubernetes/job/us-central1/research/default/"
            f"{NAME}-worker-0/details?project=my-project"
        )
    assert Cluster(Kubectl("minikube", "default")).link(NAME) == ""


@pytest.mark.parametrize(
    ("context", "found"),
    [
        (CONTEXT, ("my-project", "us-central1", "research")),
        ("gke_my-project_us-central1-a_a-b", ("my-project", "us-central1-a", "a-b")),
        ("kind-kind", None),
        ("gke_a_b", None),
    ],
)
def test_context_of_gcloud_names_project_location_and_cluster(context, found):
    assert gke_cluster(context) == found
