"""Prerequisites, the image and the commands of kubectl."""

import pytest

from deploy.targets.gke.options import Options
from deploy.targets.gke.target import TARGET, kubectl_command
from tests.deploy.examples import refusal
from tests.deploy.targets.gke.jobs import PROJECT, container, make_gke_job


def test_default_image_is_in_the_project_of_the_environment(monkeypatch):
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "other-project")
    manifest = TARGET.request(make_gke_job(), Options(region="europe-west4"))
    image = "europe-west4-docker.pkg.dev/other-project/longhaul/longhaul:tf2.21"
    assert container(manifest)["image"] == image


def test_missing_image_and_project_are_refused(monkeypatch):
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    assert "--project" in refusal(TARGET.request, make_gke_job(), Options())
    assert TARGET.request(make_gke_job(), Options(image="pkg/image:1"))


def test_a_bad_project_in_the_environment_is_refused(monkeypatch):
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p$(touch X)")
    assert "--project: got " in refusal(TARGET.request, make_gke_job(), Options())


def test_prerequisites_name_everything_a_job_needs():
    options = Options(**PROJECT, queue="lstm", service_account="trainer", namespace="research")
    arguments = ("--config=configs/imdb.py", "--config.data.source=shards:gs://bucket/a b")
    needed = TARGET.prerequisites(make_gke_job(arguments, source="shards:gs://bucket/a b"), options)
    text = "\n".join(needed)
    prepare = (
        "python -m trainer --mode=prepare --config=configs/imdb.py '--workdir=gs://bucket/a b'"
    )
    for part in (
        prepare,
        "docker build --tag=us-central1-docker.pkg.dev/my-project/longhaul/longhaul:tf2.21",
        "jobset/releases",
        "kubectl get localqueue/lstm --namespace=research",
        "my-project.svc.id.goog/subject/ns/research/sa/trainer",
        "gs://bucket ",
    ):
        assert part in text
    assert all(len(line.splitlines()) == 1 for line in needed)


def test_unused_options_have_no_prerequisites():
    text = "\n".join(TARGET.prerequisites(make_gke_job(), Options(**PROJECT)))
    assert "prepare" not in text and "kueue" not in text
    assert "tensorflow-tpu" in "".join(
        TARGET.prerequisites(make_gke_job(), Options(**PROJECT, tpu_topology="2x2"))
    )


@pytest.mark.parametrize(
    ("verb", "command"),
    [
        ("status", "kubectl get jobset/imdb-1"),
        ("wait", "kubectl wait jobset/imdb-1 '--for=jsonpath={.status.terminalState}'"),
        ("logs", "kubectl logs --selector=jobset.sigs.k8s.io/jobset-name=imdb-1"),
        ("cancel", "kubectl delete jobset/imdb-1"),
    ],
)
def test_kubectl_follows_the_job(verb, command):
    shown = kubectl_command(verb, "imdb-1", Options(namespace="research"))
    assert shown.startswith(command) and shown.endswith("--namespace=research")


@pytest.mark.parametrize("name", ["--all", "a; touch X", "$(touch X)", "a\nb", "a/b,c"])
def test_impossible_name_is_refused(name):
    assert "name: got " in refusal(kubectl_command, "cancel", name, Options())
