"""What kubectl's errors become, in kubectl's own words."""

import pytest

from deploy.remote import Unreachable
from deploy.targets.gke.kubectl import Kubectl
from storage.errors import UserError
from tests.deploy.examples import refusal
from tests.fakes.kubectl import CONTEXT, JOB_SETS

PODS = ("get", "pods")
FAILURES = [
    ('Error from server (Forbidden): pods is forbidden: User "me" cannot list', "container.devel"),
    ("Unable to connect to the server: dial tcp 10.0.0.2:443: i/o timeout", "can't be reached"),
    ("The connection to the server 127.0.0.1 was refused: connection refused", "can't be reached"),
    ("error: You must be logged in to the server (Unauthorized)", "gcloud auth login"),
    ('Error from server (NotFound): namespaces "research" not found', "kubectl create namespace"),
    (
        "exec: executable gke-gcloud-auth-plugin not found\n\nIt looks like ...",
        "components install",
    ),
    ("error: something else\n", "error: something else"),
    ("error: \x1b[31mred\x1b[0m", "error: ?[31mred?[0m"),
    ("x" * 5000, "xxx"),
]


def test_what_kubectl_prints_is_read_as_json(kubectl):
    kubectl.put("pods", {"metadata": {"name": "a"}})
    assert Kubectl(CONTEXT, "research").json(*PODS)["items"] == [{"metadata": {"name": "a"}}]
    (call,) = kubectl.calls()
    assert call["arguments"][:2] == [f"--context={CONTEXT}", "--namespace=research"]


@pytest.mark.parametrize(("message", "advice"), FAILURES)
def test_an_error_is_one_line_with_advice(kubectl, message, advice):
    kubectl.fail("get", message)
    line = refusal(Kubectl(CONTEXT, "default").json, *PODS)
    assert line.startswith("kubectl: ") and advice in line


def test_a_cluster_that_does_not_answer_is_told_from_other_failures(kubectl):
    for message, _ in FAILURES:
        kubectl.fail("get", message)
        with pytest.raises(UserError) as raised:
            Kubectl(CONTEXT, "default").json(*PODS)
        assert isinstance(raised.value, Unreachable) == ("refused" in message or "i/o" in message)


def test_an_unknown_context_is_refused(kubectl):
    line = refusal(Kubectl("other", "default").json, *PODS)
    assert "other: no such context; `kubectl config get-contexts` lists them" in line


def test_a_cluster_without_jobset_is_refused_with_the_command_that_installs_it(kubectl):
    kubectl.remove(JOB_SETS)
    line = refusal(Kubectl(CONTEXT, "default").json, "get", JOB_SETS)
    assert "no JobSet in the cluster: kubectl apply" in line


def test_a_kubectl_that_can_not_be_run_is_refused(monkeypatch, tmp_path):
    (tmp_path / "kubectl").touch(mode=0o644)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "kubectl: can't be run (Permission denied)" in refusal(Kubectl("a", "b").json, *PODS)


def test_a_missing_kubectl_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "kubectl: not found; install it" in refusal(Kubectl(CONTEXT, "default").json, *PODS)
