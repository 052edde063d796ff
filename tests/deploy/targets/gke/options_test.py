"""The flags of --target=gke."""

import pytest

from deploy.targets.gke.options import TEXTS, Options
from tests.deploy.examples import refusal
from tests.fakes.kubectl import CONTEXT

BAD_TEXTS = (
    *("a b", "a;b", "$(touch X)", "a\nb", "a'", '"', "-x", "--all", "ünïcode", "x" * 5000, "a\0"),
    *("../x", "a|b", "`x`", "a,b"),
)
# Flag and value -> a part of the refusal.
MISTAKES = [
    ({"accelerators": 0}, "--accelerators: got 0, accepted is 1, 2, 4 or 8 with nvidia-l4"),
    ({"accelerators": -1}, "--accelerators: got -1"),
    ({"accelerators": 3}, "--accelerators: got 3"),
    ({"accelerators": 16}, "--accelerators: got 16"),
    ({"accelerator": "nvidia-tesla-t4", "accelerators": 8}, "1, 2 or 4 with nvidia-tesla-t4"),
    ({"accelerator": "NVIDIA_L4"}, "accepted is nvidia-l4, which is GKE's word"),
    ({"accelerator": "NVIDIA_TESLA_T4"}, "accepted is nvidia-tesla-t4, which is GKE's word"),
    ({"accelerator": "NVIDIA_H100_MEGA_80GB"}, "accepted is nvidia-h100-mega-80gb"),
    ({"accelerator": "l4"}, "--accelerator: got 'l4'"),
    ({"accelerator": "t4"}, "a GPU in GKE's words"),
    ({"accelerator": "gpu"}, "--accelerator: got 'gpu'"),
    ({"accelerator": "none"}, "'' for none"),
    ({"accelerator": "nvidia_l4"}, "accepted is nvidia-l4"),
    ({"accelerator": "tpu-v6e-slice"}, "v6e or later, which TensorFlow does not support"),
    ({"accelerator": "tpu7x"}, "which TensorFlow does not support"),
    ({"accelerator": "tpu-v5-lite-podslice"}, "chosen with --tpu_topology"),
    ({"accelerator": "nvidia-x1", "accelerators": 17}, "--accelerators: got 17"),
    ({"accelerator": "", "accelerators": 4}, "--accelerators: got 4, accepted is 0"),
    ({"accelerator": "v5litepod-4"}, "--accelerator: got 'v5litepod-4'"),
    ({"workers": 0}, "--workers: got 0"),
    ({"workers": -3}, "--workers: got -3"),
    ({"workers": 257}, "--workers: got 257"),
    ({"max_restarts": -1}, "--max_restarts: got -1"),
    ({"max_restarts": 1001}, "--max_restarts: got 1001"),
    ({"max_run_hours": 0}, "--max_run_hours: got 0"),
    ({"max_run_hours": 24 * 28 + 1}, "--max_run_hours: got 673"),
    ({"max_run_hours": 169, "provisioning": "flex_start"}, "a number from 1 to 168 hours"),
    ({"tpu_topology": "4x2"}, "--tpu_topology: got '4x2'"),
    ({"tpu_topology": "2x2x1"}, "--tpu_topology: got '2x2x1'"),
    ({"tpu_topology": "v5litepod-4"}, "--tpu_topology: got 'v5litepod-4'"),
    ({"tpu_topology": "2x2", "accelerator": "nvidia-l4"}, "--accelerator: got 'nvidia-l4'"),
    ({"tpu_topology": "2x2", "accelerators": 4}, "--accelerators: got 4"),
    ({"tpu_topology": "4x4", "workers": 4}, "--workers: got 4, accepted is 1"),
    ({"provisioning": "standard"}, "on_demand, spot, flex_start"),
    ({"provisioning": "SPOT"}, "--provisioning: got 'SPOT'"),
    ({"provisioning": "flex-start"}, "--provisioning: got 'flex-start'"),
    ({"provisioning": ""}, "--provisioning: got ''"),
    ({"provisioning": "spot,on_demand"}, "--provisioning: got 'spot,on_demand'"),
    ({"provisioning": "flex_start", "accelerator": ""}, "--provisioning: got 'flex_start'"),
    ({"reservation": "r1", "provisioning": "spot"}, "--reservation: got 'r1'"),
    ({"reservation": "r1", "provisioning": "flex_start"}, "--reservation: got 'r1'"),
    ({"reservation": "projects/p/reservations/r"}, "--reservation: got 'projects/p"),
    ({"reservation": "Research"}, "--reservation: got 'Research'"),
    ({"cpu": "0"}, "--cpu: got '0'"),
    ({"cpu": "1.5"}, "thousandths such as 500m"),
    ({"cpu": "1e3"}, "--cpu: got '1e3'"),
    ({"memory": "16GB"}, "memory such as 16Gi"),
    ({"memory": "16"}, "--memory: got '16'"),
    ({"image": "-"}, "--image: got '-'"),
    ({"image": "pkg/image:1"}, "--image: got 'pkg/image:1'"),
    ({"image": "us-docker.pkg.dev/p/r/i"}, "--image: got 'us-docker.pkg.dev/p/r/i'"),
    ({"namespace": ""}, "--namespace: got ''"),
    ({"namespace": "Research"}, "--namespace: got 'Research'"),
    ({"namespace": "a" * 64}, "--namespace: got 'aaa"),
    ({"queue": "team/queue"}, "--queue: got 'team/queue'"),
    ({"service_account": "me@my-project.iam.gserviceaccount.com"}, "a Kubernetes service account"),
    ({"region": "us-central1-a"}, "--region: got 'us-central1-a'"),
    ({"region": "mars"}, "--region: got 'mars'"),
    ({"project": "My Project"}, "--project: got 'My Project'"),
    ({"project": "123456"}, "--project: got '123456'"),
    ({"context": "--all"}, "--context: got '--all'"),
]


@pytest.mark.parametrize("flag", sorted(TEXTS))
@pytest.mark.parametrize("value", BAD_TEXTS)
def test_a_bad_text_is_refused_in_one_line(flag, value):
    assert f"--{flag}: got " in refusal(Options, **{flag: value})


@pytest.mark.parametrize("value", BAD_TEXTS)
def test_a_bad_accelerator_is_refused_in_one_line(value):
    assert "--accelerator: got " in refusal(Options, accelerator=value)


def test_there_are_at_least_fifty_mistakes():
    assert len(MISTAKES) >= 50


@pytest.mark.parametrize(("flags", "line"), MISTAKES)
def test_a_mistaken_value_is_refused_in_one_line(flags, line):
    refused = refusal(Options, **flags)
    assert refused.startswith("--")
    assert line in refused and "accepted is" in refused


def test_a_gpu_that_is_newer_than_the_table_is_only_warned_of(capsys):
    assert Options(accelerator="nvidia-l40-next", accelerators=3).gpus == 3
    assert "--accelerator=nvidia-l40-next: not a GPU that is known" in capsys.readouterr().err
    Options(accelerator="nvidia-b200", accelerators=8)
    assert not capsys.readouterr().err


def test_options_fill_in_what_a_tpu_topology_implies():
    options = Options(tpu_topology="2x2", project="my-project")
    assert (options.accelerator, options.accelerators, options.chips) == ("", 0, 4)
    assert options.image == "us-central1-docker.pkg.dev/my-project/longhaul/longhaul:tf2.20-tpu"


@pytest.mark.parametrize(
    ("flags", "cpu", "memory"),
    [
        ({}, "3", "12Gi"),
        ({"tpu_topology": "2x2"}, "3", "12Gi"),
        ({"accelerator": ""}, "2", "8Gi"),
        ({"accelerator": "", "cpu": "500m"}, "500m", "8Gi"),
    ],
)
def test_what_a_pod_asks_for_depends_on_its_accelerator(flags, cpu, memory):
    options = Options(**flags)
    assert (options.cpu, options.memory) == (cpu, memory)


def test_an_image_needs_no_project(monkeypatch):
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    options = Options(image="docker.io/pkg/image:1")
    assert (options.image, options.project) == ("docker.io/pkg/image:1", "")
    assert Options().image == ""  # which a job refuses, but following one needs no image


def test_image_and_project_are_those_of_the_environment(monkeypatch):
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "other-project")
    options = Options(region="europe-west4")
    assert options.project == "other-project"
    assert options.image == "europe-west4-docker.pkg.dev/other-project/longhaul/longhaul:tf2.21"
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p$(touch X)")
    assert "--project: got " in refusal(Options)


def test_a_job_that_is_submitted_goes_to_the_current_context(kubectl):
    assert Options(apply=True).context == CONTEXT
    assert Options(apply=True, context="other").context == "other"
    assert len(kubectl.calls()) == 1


def test_nothing_is_asked_of_kubectl_without_apply(kubectl):
    assert Options().context == ""
    assert not kubectl.calls()


def test_a_missing_or_strange_current_context_is_refused(kubectl):
    kubectl.set_current_context("")
    assert "current-context is not set: give --context" in refusal(Options, apply=True)
    kubectl.set_current_context("--all")
    assert "--context: got '--all'" in refusal(Options, apply=True)
