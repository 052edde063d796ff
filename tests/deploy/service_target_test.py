"""Submitting to services, which are servers on this machine, and following jobs there."""

import functools
import re

import pytest
from google.cloud.aiplatform_v1.types import JobState
from grpc import StatusCode

from deploy import records
from deploy.remote import Unreachable
from deploy.targets.target import Following, State, Waiting
from deploy.targets.tpu_vm.service import TpuService
from deploy.targets.tpu_vm.target import TARGET as TPU_VM
from deploy.targets.vertex.target import TARGET as VERTEX
from deploy.watch import Watch
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
        monkeypatch.setattr(
            TPU_VM, "connect", functools.partial(TPU_VM.connect, channel=server.channel())
        )
        yield server


def follow(verb, plan, **wishes):
    options = plan.attempts[0].options
    return plan.target.follow(Following(verb, plan.job.name, plan.job.workdir, **wishes), options)


def states(output):
    return re.findall(r"^imdb: ([A-Z_]+)", output, re.MULTILINE)


class Moves:
    """A pause in which the TPU's job goes on to its next state; None leaves it as it is."""

    def __init__(self, server, *names):
        self._server, self._names = server, iter(names)

    def __call__(self, seconds):
        if name := next(self._names, None):
            self._server.move("imdb", *name.split(":"))


def test_job_is_followed_to_its_end(vertex_server, tmp_path, capsys):
    plan = vertex_plan(tmp_path)
    assert VERTEX.submit(plan, Waiting(), pause=lambda _: None) == 0
    output = capsys.readouterr()
    found = re.findall(r"JOB_STATE_(\w+)", output.out)
    assert found[-2:] == ["RUNNING", "SUCCEEDED"]  # it moves on each time it is looked at
    assert f"deploy.submit cancel {plan.job.name} --target=vertex" in output.err
    assert "gcloud storage rsync --recursive gs://bucket/" in output.err
    assert "https://console.cloud.google.com/" in output.err
    assert open_store("gs://bucket/longhaul").exists(plan.archive.name)
    # The request that was shown is the one that was sent.
    (sent,) = vertex_server.requests("CreateCustomJob")
    assert VERTEX.render(sent) == VERTEX.render(plan.attempts[0].request)


def test_nothing_that_may_fail_is_asked_once_the_job_is_submitted(vertex_server, tmp_path):
    vertex_plan(tmp_path).submit(None)
    assert vertex_server.log[-1][0] == "CreateCustomJob"


def test_submitted_job_is_recorded_with_what_finds_it(tpu_server, tmp_path):
    plan = tpu_plan(tmp_path)
    plan.submit(None)
    assert records.find("imdb") == (
        "imdb", "tpu_vm", {"zone": "us-west4-a", "project": "some-project"}, plan.job.workdir
    )  # fmt: skip


def test_same_command_is_refused_while_its_job_is_alive(tpu_server, tmp_path):
    tpu_plan(tmp_path).submit(None)
    tpu_server.move("imdb", "ACTIVE")
    with pytest.raises(UserError, match=r"--name: imdb: ACTIVE: that job is not over; .*`wait`"):
        tpu_plan(tmp_path).submit(None)
    assert tpu_server.created == 1


def test_same_command_gets_the_next_free_name_when_its_job_is_over(tpu_server, tmp_path, capsys):
    plan = tpu_plan(tmp_path)
    for number in (1, 2, 3):
        plan.submit(None)
        name = "imdb" if number == 1 else f"imdb-{number}"
        assert f"{name}: submitted as projects/" in capsys.readouterr().out
        assert any(resource.endswith(f"/{name}") for resource in tpu_server.resources)
        tpu_server.move(name, "FAILED", "a mistake that is mended now")
    requests = [c.request for c in tpu_server.log if c.method == "CreateQueuedResource"]
    for request, name in zip(requests, ("imdb", "imdb-2", "imdb-3"), strict=True):
        script = request.queued_resource.tpu.node_spec[0].node.metadata["startup-script"]
        assert f"readonly NAME={name}\n" in script


def test_new_name_is_said(tpu_server, tmp_path, capsys):
    tpu_plan(tmp_path).submit(None)
    tpu_server.move("imdb", "FAILED")
    tpu_plan(tmp_path).submit(None)
    assert (
        "imdb: an earlier job of that name is over; this one is imdb-2" in capsys.readouterr().err
    )


def test_name_that_is_too_long_with_its_number_is_refused(tpu_server, tmp_path):
    plan = tpu_plan(tmp_path).renamed("a" * 40)
    plan.submit(None)
    tpu_server.move("a" * 40, "FAILED")
    with pytest.raises(
        UserError, match=r"--name: got a+, whose job is over, and a+-2 would be too long"
    ):
        plan.submit(None)


def test_failed_job_is_exit_code_one(vertex_server, tmp_path, capsys):
    plan = vertex_plan(tmp_path)
    plan.submit(None)
    vertex_server.fail(
        next(iter(vertex_server.jobs)), "the replica workerpool0-0 exited with code 1"
    )
    assert [follow(verb, plan) for verb in ("status", "wait")] == [1, 1]
    assert "JOB_STATE_FAILED the replica workerpool0-0 exited" in capsys.readouterr().out


def test_job_can_be_cancelled(vertex_server, tmp_path, capsys):
    plan = vertex_plan(tmp_path)
    plan.submit(None)
    assert follow("cancel", plan) == 0
    remote = VERTEX.connect(plan.attempts[0].options)
    watch = Watch(remote, plan.job.name, Waiting(), bounded=False, pause=lambda _: None)
    assert watch.run() == 1
    output = capsys.readouterr().out
    assert f"{plan.job.name}: cancelled; its checkpoints are kept" in output
    assert JobState.JOB_STATE_CANCELLED.name in output


def test_interrupt_leaves_the_job_running(tpu_server, tmp_path, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    assert TPU_VM.submit(tpu_plan(tmp_path), Waiting(), pause=interrupted) == 75
    assert "imdb keeps running" in capsys.readouterr().err
    assert "DeleteQueuedResource" not in tpu_server.methods()


def test_interrupt_while_a_machine_is_replaced_does_not_say_that_the_job_runs(
    tpu_server, tmp_path, capsys, monkeypatch
):
    def interrupted(*_):
        raise KeyboardInterrupt

    tpu_plan(tmp_path).submit(None)
    tpu_server.move("imdb", "SUSPENDED")
    monkeypatch.setattr(TpuService, "recreate", interrupted)
    assert follow("wait", tpu_plan(tmp_path)) == 75
    error = capsys.readouterr().err
    assert "keeps running" not in error
    assert "imdb: stopped while it was submitted again; see `status`" in error


def test_watching_outlasts_a_service_that_does_not_answer(
    tpu_server, tmp_path, capsys, monkeypatch
):
    active, failed = State("ACTIVE", False, False), State("FAILED", True, False)
    answers = iter([active, Unreachable("no network"), Unreachable("still none"), failed])

    def answer(*_):
        if isinstance(found := next(answers), Unreachable):
            raise found
        return found

    monkeypatch.setattr(TpuService, "state", answer)
    assert TPU_VM.submit(tpu_plan(tmp_path), Waiting(), pause=lambda _: None) == 1
    output = capsys.readouterr()
    assert states(output.out) == ["ACTIVE", "FAILED"]
    assert output.err.count("imdb: no answer, trying again until there is one (no network)") == 1
    assert "still none" not in output.err


def test_job_that_was_never_seen_is_not_watched_without_an_answer(tpu_server, tmp_path):
    tpu_server.fail(StatusCode.UNAVAILABLE, "GetQueuedResource", times=1000)
    remote = TPU_VM.connect(tpu_plan(tmp_path).attempts[0].options, retry_seconds=0.1)
    with pytest.raises(Unreachable, match="the service failed"):
        Watch(remote, "imdb", Waiting(), bounded=False).run()


def test_suspended_machine_is_replaced_while_it_is_waited_for(tpu_server, tmp_path, capsys):
    moves = Moves(tpu_server, "PROVISIONING", "ACTIVE", "SUSPENDED", None, "ACTIVE", "FAILED")
    assert TPU_VM.submit(tpu_plan(tmp_path), Waiting(), pause=moves) == 1
    output = capsys.readouterr().out
    assert states(output) == [
        *("WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE", "SUSPENDED"),
        *("WAITING_FOR_RESOURCES", "ACTIVE", "FAILED"),
    ]
    assert "imdb: its machines were taken away; submitting it again, 1 of 10 times" in output
    assert tpu_server.methods().count("CreateQueuedResource") == 2


def test_replacements_end(tpu_server, tmp_path, capsys):
    moves = Moves(tpu_server, "SUSPENDED", None, "SUSPENDED", None, "SUSPENDED")
    assert TPU_VM.submit(tpu_plan(tmp_path), Waiting(resubmits=2), pause=moves) == 75
    assert "it was submitted again 2 times" in capsys.readouterr().err
    assert tpu_server.created == 3


def test_waiting_for_a_job_of_another_command_replaces_its_machine_too(tpu_server, tmp_path):
    plan = tpu_plan(tmp_path)
    plan.submit(None)
    tpu_server.move("imdb", "SUSPENDED")
    assert follow("wait", plan, waiting=Waiting(resubmits=0)) == 75
    assert tpu_server.created == 1


ZONES = {"zone": "us-west4-a,us-east5-b", "provisioning": "spot,on_demand"}


def places(server):
    """Returns where jobs were submitted to, in order, and whether as spot machines."""
    requests = [c.request for c in server.log if c.method == "CreateQueuedResource"]
    return [
        (request.parent.rpartition("/")[2], "spot" in request.queued_resource)
        for request in requests
    ]


def test_next_alternative_is_tried_when_the_service_has_no_machines(tpu_server, tmp_path, capsys):
    moves = Moves(tpu_server, "FAILED:there is no more capacity in the zone", "ACTIVE", "FAILED:x")
    assert TPU_VM.submit(tpu_plan(tmp_path, **ZONES), Waiting(), pause=moves) == 1
    assert places(tpu_server) == [("us-west4-a", True), ("us-east5-b", True)]
    output = capsys.readouterr()
    assert "imdb: no machines (provisioning=spot, zone=us-west4-a); cancelling it" in output.err
    assert "(provisioning=spot, zone=us-east5-b)" in output.out


def test_next_alternative_is_tried_when_a_quota_is_used_up(tpu_server, tmp_path, capsys):
    tpu_server.fail(StatusCode.RESOURCE_EXHAUSTED, "CreateQueuedResource", "Quota exceeded")
    moves = Moves(tpu_server, "FAILED:x")
    assert TPU_VM.submit(tpu_plan(tmp_path, **ZONES), Waiting(), pause=moves) == 1
    assert places(tpu_server) == [("us-west4-a", True), ("us-east5-b", True)]
    assert "quota exhausted (Quota exceeded)" in capsys.readouterr().err


def test_quota_of_the_only_place_ends_the_submission(tpu_server, tmp_path):
    tpu_server.fail(StatusCode.RESOURCE_EXHAUSTED, "CreateQueuedResource", "Quota exceeded")
    with pytest.raises(UserError, match="quota exhausted"):
        TPU_VM.submit(tpu_plan(tmp_path), Waiting())


def test_job_that_can_not_be_cancelled_is_said_to_cost(tpu_server, tmp_path):
    tpu_server.fail(StatusCode.PERMISSION_DENIED, "DeleteQueuedResource")
    plan, waiting = tpu_plan(tmp_path, **ZONES), Waiting(try_minutes=0)
    with pytest.raises(UserError, match=r"imdb: not cancelled, so it may still .*not permitted"):
        TPU_VM.submit(plan, waiting, pause=lambda _: None)
    assert places(tpu_server) == [("us-west4-a", True)]


def test_each_alternative_waits_for_its_minutes_only(tpu_server, tmp_path, capsys):
    pauses = []
    waiting = Waiting(try_minutes=1)
    assert TPU_VM.submit(tpu_plan(tmp_path, **ZONES), waiting, pause=pauses.append) == 75
    assert places(tpu_server) == [
        ("us-west4-a", True), ("us-east5-b", True), ("us-west4-a", False), ("us-east5-b", False)
    ]  # fmt: skip
    assert sum(pauses) == 4 * 60
    assert not tpu_server.resources
    assert "no machines at any of these places" in capsys.readouterr().err


def test_job_with_machines_is_not_given_up(tpu_server, tmp_path):
    moves = Moves(tpu_server, "ACTIVE", *[None] * 20, "FAILED:x")
    plan = tpu_plan(tmp_path, zone="us-west4-a,us-east5-b")
    assert TPU_VM.submit(plan, Waiting(try_minutes=1), pause=moves) == 1
    assert tpu_server.created == 1


def test_only_place_is_waited_for_without_a_bound(tpu_server, tmp_path):
    moves = Moves(tpu_server, *[None] * 20, "FAILED:x")
    assert TPU_VM.submit(tpu_plan(tmp_path), Waiting(try_minutes=0), pause=moves) == 1


def test_log_is_shown_while_the_job_is_waited_for(tpu_server, cloud, tmp_path, capsys):
    def put(text):
        cloud.put("bucket", f"{tmp_path.name}/a/logs/imdb.log", text.encode())

    def pause(_, steps=iter(range(9))):  # noqa: B008 - one iterator on purpose
        step = min(next(steps), 2)
        tpu_server.move("imdb", "FAILED" if step == 2 else "ACTIVE")
        put("".join(f"step {number}\n" for number in range(step + 1)))

    assert TPU_VM.submit(tpu_plan(tmp_path), Waiting(), pause=pause) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == [
        *("imdb: WAITING_FOR_RESOURCES", "imdb: ACTIVE", "step 0", "step 1"),
        *("imdb: FAILED", "step 2"),
    ]


def test_log_that_a_replaced_machine_continues_is_shown_once(tpu_server, cloud, tmp_path, capsys):
    moves = Moves(tpu_server, "ACTIVE", "SUSPENDED", "ACTIVE", "FAILED")
    all_lines = b"one\ntwo\nthree\n"
    texts = iter((b"one\n", b"one\ntwo\n", b"one\ntwo\n", all_lines))

    def pause(seconds):
        moves(seconds)
        cloud.put("bucket", f"{tmp_path.name}/a/logs/imdb.log", next(texts, all_lines))

    assert TPU_VM.submit(tpu_plan(tmp_path), Waiting(), pause=pause) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line in ("one", "two", "three")] == ["one", "two", "three"]


def test_lines_that_come_after_the_end_are_shown(tpu_server, cloud, tmp_path, capsys):
    def pause(_, steps=iter(range(9))):  # noqa: B008 - one iterator on purpose
        step = next(steps)
        tpu_server.move("imdb", "FAILED")
        text = "step 1\n" if step == 0 else "step 1\nTraceback\n"
        cloud.put("bucket", f"{tmp_path.name}/a/logs/imdb.log", text.encode())

    assert TPU_VM.submit(tpu_plan(tmp_path), Waiting(), pause=pause) == 1
    assert capsys.readouterr().out.splitlines()[-3:] == ["imdb: FAILED", "step 1", "Traceback"]


def test_only_place_without_machines_is_no_failure_of_the_job(tpu_server, tmp_path):
    moves = Moves(tpu_server, "FAILED:there is no more capacity in the zone")
    assert TPU_VM.submit(tpu_plan(tmp_path), Waiting(), pause=moves) == 75


def test_log_of_a_job_is_shown(vertex_server, tmp_path, capsys):
    plan = vertex_plan(tmp_path)
    plan.submit(None)
    capsys.readouterr()
    vertex_server.entries.append({"textPayload": "Epoch: 1/3", "timestamp": "2026-01-01T00:00:00Z"})
    assert follow("logs", plan) == 0
    assert "Epoch: 1/3" in capsys.readouterr().out


def test_log_is_followed_until_the_job_is_over(tpu_server, cloud, tmp_path, capsys):
    plan = tpu_plan(tmp_path)
    plan.submit(None)
    cloud.put("bucket", f"{tmp_path.name}/a/logs/imdb.log", b"step 1\n")
    tpu_server.move("imdb", "FAILED")
    capsys.readouterr()
    assert follow("logs", plan, follow=True) == 0
    assert capsys.readouterr().out == "step 1\n"


def test_job_without_a_log_says_so(tpu_server, tmp_path, capsys):
    plan = tpu_plan(tmp_path)
    plan.submit(None)
    capsys.readouterr()
    assert follow("logs", plan) == 0
    assert "imdb: no log yet" in capsys.readouterr().err


def test_status_shows_the_link_to_the_console(tpu_server, tmp_path, capsys):
    plan = tpu_plan(tmp_path)
    plan.submit(None)
    capsys.readouterr()
    assert follow("status", plan) == 0
    state, link = capsys.readouterr().out.splitlines()
    assert state == "imdb: WAITING_FOR_RESOURCES"
    assert link.startswith("https://console.cloud.google.com/compute/tpus/details/")


def test_listed_are_also_jobs_that_the_service_has_forgotten(tpu_server, cloud, tmp_path):
    plan = tpu_plan(tmp_path)
    plan.submit(None)
    cloud.put("bucket", f"{tmp_path.name}/a/logs/old.exit", b"0\n")
    known = {"old": plan.job.workdir, "imdb": plan.job.workdir, "never": plan.job.workdir}
    jobs = TPU_VM.jobs(plan.attempts[0].options, known)
    assert [(job.name, job.state.text) for job in jobs] == [
        ("imdb", "WAITING_FOR_RESOURCES"), ("old", "DELETED")
    ]  # fmt: skip
