"""The life of jobs over the wire, with tests/fakes/tpu_server.py as the service."""

from datetime import datetime, timezone

import pytest
from google.cloud.tpu_v2 import QueuedResource
from grpc import StatusCode

from deploy.targets.target import State
from deploy.targets.tpu_vm.request import make_request
from deploy.targets.tpu_vm.target import TARGET
from storage.errors import UserError
from tests.deploy.targets.tpu_vm.jobs import make_options, make_tpu_job
from tests.fakes.tpu_server import TpuServer


@pytest.fixture
def server():
    with TpuServer() as running:
        yield running


@pytest.fixture
def workdir(cloud, tmp_path):
    return f"gs://bucket/{tmp_path.name}/run"


def connect(server, workdir=None, retry_seconds=20.0):
    return TARGET.connect(make_options(), workdir, server.channel(), retry_seconds)


def submit(server, job):
    remote = connect(server)
    return remote, remote.submit(job, make_request(job, make_options()))


def log(remote):
    return list(remote.log("imdb", None).read())


def put(cloud, workdir, name, data):
    cloud.put("bucket", f"{workdir.removeprefix('gs://bucket/')}/{name}", data)


def test_job_lives_and_ends_with_success(server, cloud, workdir):
    remote, name = submit(server, make_tpu_job(workdir))
    assert name == "projects/some-project/locations/us-west4-a/queuedResources/imdb"
    assert remote.state("imdb") == State("WAITING_FOR_RESOURCES", False, False, waiting=True)
    for state in ("ACCEPTED", "PROVISIONING", "CREATING", "ACTIVE", "SUSPENDING", "DELETING"):
        server.move("imdb", state)
        waiting = state in ("ACCEPTED", "PROVISIONING", "CREATING")
        assert remote.state("imdb") == State(state, False, False, waiting=waiting)
    put(cloud, workdir, "logs/imdb.log", b"step 1\n")
    put(cloud, workdir, "logs/imdb.exit", b"0\n")
    server.resources.clear()
    assert remote.state("imdb") == State("DELETED", True, True, "exit code 0")
    assert log(remote) == ["step 1"]


@pytest.mark.parametrize(
    ("code", "detail"),
    [
        ("1", "exit code 1"),
        ("124", "its --max_run_hours were over"),
        ("139", "crashed three times (signal 11)"),
    ],
)
def test_job_with_another_exit_code_has_failed(server, cloud, workdir, code, detail):
    put(cloud, workdir, "logs/imdb.exit", code.encode())
    assert connect(server, workdir).state("imdb") == State("DELETED", True, False, detail)


def test_failed_resource_has_its_reason(server, workdir):
    remote, _ = submit(server, make_tpu_job(workdir))
    server.move("imdb", "FAILED", "the image does not exist")
    assert remote.state("imdb") == State("FAILED", True, False, "the image does not exist")


@pytest.mark.parametrize(
    ("code", "text", "is_stockout"),
    [
        (8, "there are no resources", True),
        (0, "There is no more capacity in the zone", True),
        (8, "Quota 'TPUV5sLitepod' exceeded", False),
        (3, "the image does not exist", False),
    ],
)
def test_place_without_machines_is_told_from_other_failures(
    server, workdir, code, text, is_stockout
):
    remote, _ = submit(server, make_tpu_job(workdir))
    server.move("imdb", "FAILED", text, code)
    assert remote.state("imdb").no_capacity == is_stockout


def test_job_with_an_exit_code_is_over_though_its_machine_still_exists(server, cloud, workdir):
    remote, _ = submit(server, make_tpu_job(workdir))
    server.move("imdb", "ACTIVE")
    assert not remote.state("imdb").over
    put(cloud, workdir, "logs/imdb.exit", b"0\n")
    assert remote.state("imdb")[:3] == ("ACTIVE", True, True)
    assert "its machine is about to be deleted" in remote.state("imdb").detail
    put(cloud, workdir, "logs/imdb.exit", b"1\n")
    assert remote.state("imdb")[:3] == ("ACTIVE", True, False)
    assert "`cancel` deletes it" in remote.state("imdb").detail


def test_job_with_an_exit_code_is_over_though_its_machine_was_taken_away(server, cloud, workdir):
    remote, _ = submit(server, make_tpu_job(workdir))
    put(cloud, workdir, "logs/imdb.exit", b"0\n")
    for state in ("SUSPENDING", "SUSPENDED"):
        server.move("imdb", state)
        assert remote.state("imdb") == State(state, True, True, "exit code 0")


def test_state_is_shown_though_the_exit_code_can_not_be_read(
    server, workdir, monkeypatch, tmp_path
):
    remote, _ = submit(server, make_tpu_job(workdir))
    server.move("imdb", "ACTIVE")
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    for state in (remote.state("imdb"), remote.jobs()[0].state):
        assert state[:3] == ("ACTIVE", False, False)
        assert state.detail.startswith("its exit code can't be read: ")


@pytest.mark.filterwarnings("ignore:Unrecognized State enum value")
def test_state_that_is_newer_than_the_client_library_is_shown_as_its_number(server, workdir):
    remote, name = submit(server, make_tpu_job(workdir))
    QueuedResource.pb(server.resources[name]).state.state = 99
    assert remote.state("imdb")[:2] == ("99", False)


def test_job_that_left_a_log_and_no_exit_code_was_probably_cancelled(server, cloud, workdir):
    remote, _ = submit(server, make_tpu_job(workdir))
    put(cloud, workdir, "logs/imdb.log", b"step 1\n")
    remote.cancel("imdb")
    state = remote.state("imdb")
    assert (state.over, state.succeeded) == (True, False)
    assert "cancelled" in state.detail


def test_name_is_free_until_a_job_has_left_something_of_it(server, cloud, workdir):
    remote = connect(server, workdir)
    assert remote.find("imdb") is None
    put(cloud, workdir, "logs/imdb.exit", b"1\n")
    assert remote.find("imdb").over


def test_jobs_are_those_of_longhaul_on_all_pages_newest_first(server, workdir):
    remote = connect(server, workdir)
    for name in ("first", "second", "third"):
        job = make_tpu_job(workdir, name=name)
        remote.submit(job, make_request(job, make_options()))
    (foreign,) = (r for n, r in server.resources.items() if n.endswith("/second"))
    foreign.tpu.node_spec[0].node.labels["app"] = "another"
    server.move("third", "ACTIVE")
    listed = remote.jobs()
    assert [(job.name, job.state.text) for job in listed] == [
        ("third", "ACTIVE"),
        ("first", "WAITING_FOR_RESOURCES"),
    ]
    assert listed[0].created > listed[1].created


def test_error_of_a_later_page_is_one_line(server, workdir):
    remote = connect(server, workdir)
    for name in ("first", "second"):
        job = make_tpu_job(workdir, name=name)
        remote.submit(job, make_request(job, make_options()))
    server.fail(StatusCode.PERMISSION_DENIED, "ListQueuedResources", page="1")
    with pytest.raises(UserError, match="list the jobs: not permitted"):
        remote.jobs()


def test_link_leads_to_the_machine_in_the_console(server, workdir):
    remote, name = submit(server, make_tpu_job(workdir))
    link = "/compute/tpus/details/us-west4-a/imdb?project=some-project"
    assert [remote.link(each)[-len(link) :] for each in ("imdb", name)] == [link, link]


def test_cancel_deletes_resource_and_machine_once(server, cloud, workdir):
    remote, _ = submit(server, make_tpu_job(workdir))
    server.move("imdb", "ACTIVE")
    remote.cancel("imdb")
    assert not server.resources
    put(cloud, workdir, "logs/imdb.exit", b"0\n")
    remote.cancel("imdb")
    assert server.methods().count("DeleteQueuedResource") == 1


def test_logs_of_a_slice_are_the_logs_of_all_its_machines(server, cloud, workdir):
    remote, _ = submit(server, make_tpu_job(workdir))
    for name, text in {
        "imdb.10.log": "ten", "imdb.log": "zero", "imdb.2.log": "two", "imdb-2.log": "another job",
        "imdb.exit": "0", "imdb.x.log": "nobody's",
    }.items():  # fmt: skip
        put(cloud, workdir, f"logs/{name}", f"{text}\n".encode())
    expected = ["zero", "==> machine 2 <==", "two", "==> machine 10 <==", "ten"]
    assert log(remote) == expected


def test_log_is_read_on_where_it_ended_and_no_line_in_two_parts(server, cloud, workdir):
    remote, _ = submit(server, make_tpu_job(workdir))
    reader = remote.log("imdb", None)
    assert list(reader.read()) == []
    put(cloud, workdir, "logs/imdb.log", b"step 1\nste")
    assert list(reader.read()) == ["step 1"]
    put(cloud, workdir, "logs/imdb.log", b"step 1\nstep 2\n")
    assert list(reader.read()) == ["step 2"]
    assert list(reader.read()) == []


def test_log_without_times_is_not_read_from_a_time_on(server, workdir):
    with pytest.raises(UserError, match="--since: the log of a TPU VM"):
        connect(server, workdir).log("imdb", datetime.now(timezone.utc))


def test_log_of_a_running_job_is_found_without_a_workdir(server, cloud, workdir):
    submit(server, make_tpu_job(workdir))
    put(cloud, workdir, "logs/imdb.log", b"step 1\n")
    assert log(connect(server)) == ["step 1"]


def test_job_that_never_existed_is_refused(server, workdir):
    for ask in ("state", "cancel"):
        with pytest.raises(UserError, match=r"imdb: no such job in .*us-west4-a"):
            getattr(connect(server, workdir), ask)("imdb")
    with pytest.raises(UserError, match="--workdir"):
        connect(server).state("imdb")


def test_same_name_submitted_at_the_same_moment_is_refused(server, workdir):
    submit(server, make_tpu_job(workdir))
    with pytest.raises(UserError, match=r"--name: .*/imdb exists already, in state WAITING_FOR"):
        submit(server, make_tpu_job(workdir))
    assert server.created == 1


ERRORS = {
    StatusCode.INVALID_ARGUMENT: "refused .*change the flag",
    StatusCode.PERMISSION_DENIED: "not permitted .*role",
    StatusCode.NOT_FOUND: "does not exist .*--project or --zone",
    StatusCode.ABORTED: "the service failed .*again",
    StatusCode.RESOURCE_EXHAUSTED: "quota exhausted .*later",
}


@pytest.mark.parametrize("code", ERRORS)
def test_error_of_the_service_is_one_line(server, workdir, code):
    server.fail(code, "CreateQueuedResource", "for\nthis reason")
    with pytest.raises(UserError, match=ERRORS[code]) as raised:
        submit(server, make_tpu_job(workdir))
    assert str(raised.value).isprintable()
    assert server.created == 0


@pytest.mark.parametrize("after", [False, True])
def test_call_that_fails_for_a_moment_is_retried_and_creates_once(server, workdir, after):
    server.fail(
        StatusCode.UNAVAILABLE, "CreateQueuedResource", times=1 if after else 2, after=after
    )
    remote, name = submit(server, make_tpu_job(workdir))
    server.fail(StatusCode.UNAVAILABLE, "GetQueuedResource", times=2)
    assert name.endswith("/imdb")
    assert remote.state("imdb").text == "WAITING_FOR_RESOURCES"
    assert server.created == 1


def test_quota_of_a_retry_does_not_hide_what_a_lost_response_has_made(server, workdir):
    server.fail(StatusCode.UNAVAILABLE, "CreateQueuedResource", after=True)
    server.fail(StatusCode.RESOURCE_EXHAUSTED, "CreateQueuedResource")
    _, name = submit(server, make_tpu_job(workdir))
    assert name in server.resources


def test_quota_of_calls_in_a_minute_passes(server, workdir):
    remote, _ = submit(server, make_tpu_job(workdir))
    for method in ("GetQueuedResource", "ListQueuedResources"):
        server.fail(StatusCode.RESOURCE_EXHAUSTED, method)
    assert remote.state("imdb").text == "WAITING_FOR_RESOURCES"
    assert len(remote.jobs()) == 1


def test_deletion_whose_response_is_lost_counts(server, workdir):
    remote, _ = submit(server, make_tpu_job(workdir))
    server.fail(StatusCode.UNAVAILABLE, "DeleteQueuedResource", after=True)
    remote.cancel("imdb")
    assert not server.resources


def test_retries_end(server, workdir):
    server.fail(StatusCode.UNAVAILABLE, "GetQueuedResource", times=1000)
    with pytest.raises(UserError, match=r"the service failed .*run the same command again"):
        connect(server, workdir, retry_seconds=0.5).state("imdb")


def test_suspended_resource_is_recreated_once_the_old_one_is_deleted(workdir, cloud):
    with TpuServer(looks_to_delete=1) as server:
        job = make_tpu_job(workdir)
        remote, _ = submit(server, job)
        server.move("imdb", "SUSPENDED")
        state = remote.state("imdb")
        assert (state.text, state.over) == ("SUSPENDED", False)
        assert state.taken_away and "`wait` submits it again" in state.detail
        remote.recreate("imdb")
        assert remote.state("imdb").text == "WAITING_FOR_RESOURCES"
        assert server.created == 2
        # The request between was too early: the old resource was still there.
        first, _, second = (c.request for c in server.log if c.method == "CreateQueuedResource")
        for request in (first, second):  # each submission has a label of its own
            del request.queued_resource.tpu.node_spec[0].node.labels["longhaul-submission"]
        assert first == second


def test_resource_that_is_being_deleted_is_recreated(workdir, cloud):
    with TpuServer(looks_to_delete=1) as server:
        remote, _ = submit(server, make_tpu_job(workdir))
        remote.cancel("imdb")
        remote.recreate("imdb")
        assert server.created == 2


def test_resource_that_somebody_has_deleted_is_not_recreated(server, workdir):
    remote, _ = submit(server, make_tpu_job(workdir))
    server.resources.clear()
    with pytest.raises(UserError, match="imdb: was deleted meanwhile; submit it again"):
        remote.recreate("imdb")


def test_server_refuses_a_request_that_lacks_a_required_field(server, workdir):
    job = make_tpu_job(workdir)
    request = make_request(job, make_options())
    request.queued_resource.tpu.node_spec[0].node.runtime_version = ""
    with pytest.raises(UserError, match=r"required and missing: .*node\.runtime_version"):
        connect(server).submit(job, request)
