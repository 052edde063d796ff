"""Submitting to services, which are servers on this machine, and following jobs there."""

import functools
import re

import pytest
from google.cloud.aiplatform_v1.types import JobState

from deploy.remote import watch
from deploy.targets.tpu_vm.target import TARGET as TPU_VM
from deploy.targets.vertex.target import TARGET as VERTEX
from storage.errors import UserError
from storage.store import open_store
from tests.deploy.plans import tpu_plan, vertex_plan
from tests.fakes.tpu_server import TpuServer
from tests.fakes.vertex_server import VertexServer

pytestmark = pytest.mark.usefixtures("environment")


@pytest.fixture
def vertex_server(monkeypatch):
    with VertexServer() as server:
        connect = functools.partial(VERTEX.connect, channel=server.channel, logging=server.logging)
        monkeypatch.setattr(VERTEX, "connect", connect)
        yield server


@pytest.fixture
def tpu_server(monkeypatch):
    with TpuServer() as server:
        connect = functools.partial(TPU_VM.connect, channel=server.channel())
        monkeypatch.setattr(TPU_VM, "connect", connect)
        yield server


def follow(verb, plan):
    return VERTEX.follow(verb, plan.job.name, plan.options, None)


def test_job_is_followed_to_its_end(vertex_server, tmp_path, capsys):
    plan = vertex_plan(tmp_path)
    assert VERTEX.submit(plan, wait=True, pause=lambda _: None) == 0
    output = capsys.readouterr()
    states = re.findall(r"JOB_STATE_(\w+)", output.out)
    assert states == ["QUEUED", "PENDING", "RUNNING", "SUCCEEDED"]
    assert f"deploy.submit cancel {plan.job.name} --target=vertex" in output.err
    assert open_store("gs://bucket/longhaul").exists(plan.archive.name)
    # The request that was shown is the one that was sent.
    (sent,) = vertex_server.requests("CreateCustomJob")
    assert VERTEX.render(sent) == VERTEX.render(plan.request)


def test_same_name_twice_is_refused(vertex_server, tmp_path):
    vertex_plan(tmp_path).submit(wait=False)
    with pytest.raises(UserError, match=r"--name: .* exists already as .*customJobs/"):
        vertex_plan(tmp_path).submit(wait=False)


def test_failed_job_is_exit_code_one(vertex_server, tmp_path, capsys):
    plan = vertex_plan(tmp_path)
    plan.submit(wait=False)
    vertex_server.fail(
        next(iter(vertex_server.jobs)), "the replica workerpool0-0 exited with code 1"
    )
    assert [follow(verb, plan) for verb in ("status", "wait")] == [1, 1]
    assert "JOB_STATE_FAILED the replica workerpool0-0 exited" in capsys.readouterr().out


def test_job_can_be_cancelled(vertex_server, tmp_path, capsys):
    plan = vertex_plan(tmp_path)
    plan.submit(wait=False)
    assert follow("cancel", plan) == 0
    assert watch(VERTEX.connect(plan.options), plan.job.name, pause=lambda _: None) == 1
    assert JobState.JOB_STATE_CANCELLED.name in capsys.readouterr().out


def test_interrupt_leaves_the_job_running(vertex_server, tmp_path, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    plan = vertex_plan(tmp_path)
    plan.submit(wait=False)
    assert watch(VERTEX.connect(plan.options), plan.job.name, pause=interrupted) == 75
    assert f"{plan.job.name} keeps running" in capsys.readouterr().err
    assert not vertex_server.requests("CancelCustomJob")


def test_suspended_machine_is_recreated_while_it_is_waited_for(tpu_server, tmp_path, capsys):
    plan = tpu_plan(tmp_path)
    looks = iter(["PROVISIONING", "ACTIVE", "SUSPENDED", None, "ACTIVE", "FAILED"])

    def move(_):
        if state := next(looks):
            tpu_server.move("imdb", state)

    assert TPU_VM.submit(plan, wait=True, pause=move) == 1
    output = capsys.readouterr().out
    assert re.findall(r"imdb: ([A-Z_]+)", output) == [
        *("WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE", "SUSPENDED"),
        *("WAITING_FOR_RESOURCES", "ACTIVE", "FAILED"),
    ]
    assert "imdb: its machines were taken away; recreating it" in output
    assert tpu_server.methods().count("CreateQueuedResource") == 2


def test_waiting_alone_ends_when_the_machine_never_comes_back(tpu_server, tmp_path, capsys):
    plan = tpu_plan(tmp_path)
    plan.submit(wait=False)
    tpu_server.move("imdb", "SUSPENDED")
    assert TPU_VM.follow("wait", "imdb", plan.options, plan.job.workdir) == 75
    assert "imdb will not come back; submit it again with --wait" in capsys.readouterr().err


def test_log_of_a_job_is_shown(vertex_server, tmp_path, capsys):
    plan = vertex_plan(tmp_path)
    plan.submit(wait=False)
    capsys.readouterr()
    vertex_server.entries.append({"textPayload": "Epoch: 1/3", "timestamp": "2026-01-01T00:00:00Z"})
    assert follow("logs", plan) == 0
    assert "Epoch: 1/3" in capsys.readouterr().out
