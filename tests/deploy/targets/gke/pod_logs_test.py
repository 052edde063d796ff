"""The logs of pods: in order of time, and each line once."""

import datetime

import pytest

from deploy.targets.gke.kubectl import Kubectl
from deploy.targets.gke.pod_logs import PodLogs
from tests.fakes.kubectl import CONTEXT

UTC = datetime.timezone.utc


@pytest.fixture
def logs(kubectl):
    return PodLogs(Kubectl(CONTEXT, "default"), "imdb-1", since=None)


def at(minute, second=0, nanosecond=0):
    return f"2026-01-01T00:{minute:02}:{second:02}.{nanosecond:09}Z"


def test_lines_of_all_pods_are_in_order_of_time(kubectl, logs):
    kubectl.log("a", at(1), "first of a")
    kubectl.log("b", at(0), "first of b")
    kubectl.log("a", at(2, 0, 5), "")
    kubectl.log("b", at(2, 0, 3), "[pod/x/y] 2026")
    assert list(logs.read()) == ["[b] first of b", "[a] first of a", "[b] [pod/x/y] 2026", "[a] "]
    arguments = kubectl.calls("logs")[0]["arguments"]
    assert "--selector=jobset.sigs.k8s.io/jobset-name=imdb-1" in arguments
    assert "--tail=-1" in arguments  # kubectl's own default for a selector is 10 lines


def test_each_line_is_given_once(kubectl, logs):
    for second in range(0, 50, 10):
        kubectl.log("a", at(0, second), f"line {second}")
        kubectl.log("a", at(0, second), f"line {second}")  # the same line twice at one time
        assert list(logs.read()) == [f"[a] line {second}"] * 2
    assert list(logs.read()) == []


def test_a_line_that_comes_late_is_not_lost(kubectl, logs):
    kubectl.log("a", at(5), "later")
    assert list(logs.read()) == ["[a] later"]
    kubectl.log("b", at(4, 30), "earlier, from a machine whose clock is behind")
    assert list(logs.read()) == ["[b] earlier, from a machine whose clock is behind"]
    assert list(logs.read()) == []


def test_only_the_last_minute_is_read_again(kubectl, logs):
    kubectl.log("a", at(1), "old")
    kubectl.log("a", at(5), "last")
    list(logs.read())
    list(logs.read())
    since = [a for a in kubectl.calls("logs")[1]["arguments"] if a.startswith("--since-time")]
    assert since == ["--since-time=2026-01-01T00:04:00+00:00"]


def test_log_begins_at_a_time(kubectl):
    kubectl.log("a", at(1), "old")
    kubectl.log("a", at(5), "last")
    hour = datetime.timezone(datetime.timedelta(hours=1))
    since = datetime.datetime(2026, 1, 1, 1, 4, tzinfo=hour)
    logs = PodLogs(Kubectl(CONTEXT, "default"), "imdb-1", since)
    assert list(logs.read()) == ["[a] last"]


def test_a_job_without_pods_has_no_lines_yet(kubectl, logs):
    assert list(logs.read()) == []
    kubectl.log("a", at(1), "first")
    assert list(logs.read()) == ["[a] first"]


def test_a_pod_that_has_not_started_hides_no_other(kubectl, logs):
    kubectl.log("b", "", 'error: container "trainer" in pod "b" is waiting to start')
    kubectl.log("a", at(1), "first")
    assert list(logs.read()) == ["[a] first"]
    assert "--ignore-errors" in kubectl.calls("logs")[0]["arguments"]
