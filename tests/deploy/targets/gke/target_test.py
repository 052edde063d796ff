"""Submitting with kubectl or by hand, and the commands of kubectl."""

import datetime
from unittest import mock

import pytest
import yaml

from configs import imdb_gpu
from deploy import package
from deploy.defaults import Defaults
from deploy.job import Submission
from deploy.targets.gke.options import Options
from deploy.targets.gke.target import TARGET, kubectl_command
from deploy.targets.target import Following, Waiting, make_options, parse_full_name
from tests.deploy.examples import refusal
from tests.deploy.plans import build_once
from tests.deploy.targets.gke.jobs import PROJECT, container, make_gke_job
from tests.fakes.kubectl import CONTEXT, JOB_SETS

NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)


@pytest.fixture
def plan(tmp_path, environment, kubectl, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))  # of the records

    def make(**options):
        arguments, workdir = ("--config=configs/imdb_gpu.py",), f"gs://bucket/{tmp_path.name}/a"
        config = imdb_gpu.get_config()
        submission = Submission("imdb", arguments, config, workdir, Defaults())
        with mock.patch.object(package, "build", build_once):
            return TARGET.prepare(submission, make_options("gke", options))

    return make


def submit(plan, waiting=None):
    return TARGET.submit(plan, waiting, pause=lambda seconds: None)


def finish(kubectl, kind="Completed"):
    job = {"metadata": {"name": "imdb", "labels": {"app.kubernetes.io/name": "longhaul"}}}
    kubectl.put(JOB_SETS, {**job, "status": {"conditions": [{"type": kind, "status": "True"}]}})


def test_missing_image_and_project_are_refused(monkeypatch):
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    assert "--project" in refusal(TARGET.request, make_gke_job(), Options())
    manifest = TARGET.request(make_gke_job(), Options(image="docker.io/pkg/image:1"))
    assert container(manifest)["image"] == "docker.io/pkg/image:1"


def test_without_apply_the_manifest_is_all_that_is_printed(plan, kubectl, capsys):
    made = plan()
    assert not TARGET.can_wait(made.attempts[0].options)
    assert submit(made) == 0
    output = capsys.readouterr()
    assert output.out == TARGET.render(made.attempts[0].request)
    assert "Hand this to `kubectl --namespace=default create -f -`" in output.err
    assert not kubectl.calls()


def test_with_apply_kubectl_creates_the_job_and_the_context_is_said(plan, kubectl, capsys):
    made = plan(apply=True)
    assert TARGET.can_wait(made.attempts[0].options)
    assert submit(made) == 0
    output = capsys.readouterr()
    assert f"imdb: submitted as {CONTEXT}/namespaces/default/jobsets/imdb" in output.out
    assert output.err.startswith(f"--context={CONTEXT}, --namespace=default\n")
    assert f"deploy.submit logs imdb --target=gke --context={CONTEXT}" in output.err
    (call,) = kubectl.calls("create")
    assert yaml.safe_load(call["stdin"]) == made.attempts[0].request


def test_full_name_that_is_printed_finds_the_job_again():
    found = parse_full_name(f"{CONTEXT}/namespaces/default/jobsets/imdb")
    assert found == ("gke", {"context": CONTEXT, "namespace": "default"}, "imdb")


def test_a_job_that_is_alive_is_not_submitted_twice(plan, capsys):
    submit(plan(apply=True))
    assert "that job is not over" in refusal(submit, plan(apply=True))


def test_a_job_that_is_over_is_submitted_again_under_another_name(plan, kubectl):
    finish(kubectl, "Failed")
    assert submit(plan(apply=True)) == 0
    (call,) = kubectl.calls("create")
    assert yaml.safe_load(call["stdin"])["metadata"]["name"] == "imdb-2"


def test_waiting_ends_with_the_job(plan, kubectl):
    def run_on(seconds):
        finish(kubectl)

    assert TARGET.submit(plan(apply=True), Waiting(), pause=run_on) == 0


def test_verbs_of_a_context_run_kubectl(kubectl, capsys):
    options = Options(context=CONTEXT)
    finish(kubectl)
    assert TARGET.follow(Following("status", "imdb"), options) == 0
    assert capsys.readouterr().out.startswith("imdb: Completed\nhttps://console.cloud.google.com/")
    kubectl.log("a", "2026-01-01T00:00:00.0Z", "step 1")
    TARGET.follow(Following("logs", "imdb"), options)
    assert capsys.readouterr().out == "[a] step 1\n"
    assert [job.name for job in TARGET.jobs(options, {})] == ["imdb"]
    TARGET.follow(Following("delete", "imdb"), options)
    assert "no such job" in refusal(TARGET.follow, Following("status", "imdb"), options)


@pytest.mark.parametrize(
    ("following", "command"),
    [
        (Following("status", "imdb-1"), "get jobset/imdb-1"),
        (
            Following("wait", "imdb-1"),
            "wait jobset/imdb-1 '--for=jsonpath={.status.terminalState}'",
        ),
        (
            Following("logs", "imdb-1"),
            "logs --selector=jobset.sigs.k8s.io/jobset-name=imdb-1 --prefix --tail=-1",
        ),
        (
            Following("logs", "imdb-1", follow=True, since=NOON),
            "logs --selector=jobset.sigs.k8s.io/jobset-name=imdb-1 --prefix --tail=-1 "
            "--since-time=2026-01-01T12:00:00+00:00 --follow --max-log-requests=256",
        ),
        (Following("cancel", "imdb-1"), "delete jobset/imdb-1"),
        (Following("delete", "imdb-1"), "delete jobset/imdb-1"),
    ],
)
def test_verbs_without_a_context_print_the_command(following, command, kubectl, capsys):
    assert TARGET.follow(following, Options(namespace="research")) == 1  # nothing was done
    assert capsys.readouterr().out.startswith(f"kubectl --namespace=research {command}")
    assert not kubectl.calls()


def test_list_without_a_context_says_which_command_lists_the_jobs(kubectl, capsys):
    assert TARGET.jobs(Options(), {}) == []
    assert "kubectl --namespace=default get jobsets.jobset.x-k8s.io" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["--all", "a; touch X", "$(touch X)", "a\nb", "a/b,c"])
def test_impossible_name_is_refused(name):
    assert "name: got " in refusal(kubectl_command, Following("cancel", name), Options())


@pytest.mark.parametrize(
    ("flags", "machines"),
    [
        ({"workers": 3, "accelerators": 2}, ("nvidia-l4", 6)),
        ({"tpu_topology": "4x4"}, ("tpu-v5-lite-podslice", 16)),
        ({"accelerator": "", "workers": 3, "cpu": "500m"}, ("gke-cpu", 2)),
        ({"accelerator": "", "workers": 3}, ("gke-cpu", 6)),
    ],
)
def test_what_is_paid_for_is_counted_in_accelerators_or_cores(flags, machines):
    assert TARGET.machines(Options(**PROJECT, **flags)) == machines


def test_dry_run_shows_the_image_and_the_project_that_are_used(plan):
    text = plan().describe()
    assert "--image='us-central1-docker.pkg.dev/some-project/longhaul/longhaul:tf2.21'" in text
    assert "--project='some-project'" in text
