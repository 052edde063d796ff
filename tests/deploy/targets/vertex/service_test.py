"""The life of jobs over the wire, with tests/fakes/vertex_server.py as the service."""

import pytest
from google.cloud.aiplatform_v1.types import JobState
from grpc import StatusCode

from deploy.remote import State
from deploy.targets.vertex.request import make_request
from deploy.targets.vertex.target import TARGET
from storage.errors import UserError
from tests.deploy.examples import refusal
from tests.deploy.targets.vertex.jobs import make_options, make_vertex_job
from tests.fakes.vertex_server import LIFE, VertexServer


@pytest.fixture
def server():
    with VertexServer() as server:
        yield server


def connect(server, retry_seconds=1.0):
    return TARGET.connect(
        make_options(),
        channel=server.channel,
        logging=server.logging,
        retry_seconds=retry_seconds,
    )


def submit(server, **changes):
    job = make_vertex_job(**changes)
    return connect(server).submit(job, make_request(job, make_options()))


def test_request_that_was_shown_is_the_one_that_arrives(server):
    name = submit(server)
    assert name == "projects/12345/locations/us-central1/customJobs/1000"
    assert server.requests("CreateCustomJob") == [make_request(make_vertex_job(), make_options())]


def test_server_refuses_a_request_that_lacks_something(server):
    request = make_request(make_vertex_job(), make_options())
    request.custom_job.job_spec.worker_pool_specs[0].container_spec.image_uri = ""
    line = refusal(connect(server).submit, make_vertex_job(), request)
    assert "required: custom_job.job_spec.worker_pool_specs[0].container_spec.image_uri" in line


def test_job_goes_through_its_states(server):
    submit(server)
    remote = connect(server)
    states = [remote.state("imdb") for _ in range(5)]
    assert [state.text for state in states] == [*(s.name for s in LIFE), "JOB_STATE_SUCCEEDED"]
    assert [state.over for state in states] == [False, False, False, True, True]
    assert [state.succeeded for state in states] == [False, False, False, True, True]


def test_failed_job_has_its_reason(server):
    server.fail(submit(server), "workerpool0-0 exited\nwith 1")
    wanted = State("JOB_STATE_FAILED", True, False, "workerpool0-0 exited with 1")
    assert connect(server).state("imdb") == wanted


@pytest.mark.parametrize("state", ["EXPIRED", "CANCELLED", "PARTIALLY_SUCCEEDED"])
def test_other_final_states_are_no_success(server, state):
    server.life = (JobState[f"JOB_STATE_{state}"],)
    submit(server)
    assert connect(server).state("imdb")[1:3] == (True, False)


def test_cancelled_job_ends(server):
    submit(server)
    remote = connect(server)
    remote.cancel("imdb")
    states = [remote.state("imdb") for _ in range(2)]
    assert [state.text for state in states] == ["JOB_STATE_CANCELLING", "JOB_STATE_CANCELLED"]
    assert [state.over for state in states] == [False, True]


def test_job_that_is_over_is_not_cancelled(server):
    server.life = LIFE[-1:]
    submit(server)
    connect(server).cancel("imdb")
    assert not server.requests("CancelCustomJob")
    assert connect(server).state("imdb").succeeded


def test_name_that_is_taken_is_refused(server):
    name = submit(server)
    line = refusal(submit, server, digest="f" * 64)
    assert line == (
        f"--name: imdb exists already as {name}, in JOB_STATE_QUEUED; give another, or cancel that "
        "one"
    )
    server.fail(name, "")
    assert "in JOB_STATE_FAILED; give another" in refusal(submit, server)
    assert len(server.jobs) == 1
    submit(server, name="imdb-2")


def test_newest_of_several_jobs_is_meant(server):
    job = make_request(make_vertex_job(), make_options()).custom_job
    for state in ("FAILED", "RUNNING"):
        job.state = JobState[f"JOB_STATE_{state}"]
        server.add(job)
    assert connect(server).state("imdb").text == "JOB_STATE_RUNNING"


def test_job_that_does_not_exist_is_named(server):
    remote = connect(server)
    for call in (remote.state, remote.cancel, remote.logs):
        assert refusal(call, "imdb").startswith("imdb: no such job in projects/some-project/")


def test_name_is_checked_before_it_becomes_part_of_the_filter(server):
    line = refusal(connect(server).state, 'a" OR display_name="b')
    assert line.startswith("--name: got ")
    assert not server.log


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (StatusCode.INVALID_ARGUMENT, "refused (some\treason); change the flag that it names"),
        (StatusCode.UNAUTHENTICATED, "run `gcloud auth application-default login`"),
        (StatusCode.PERMISSION_DENIED, "not permitted (some\treason); have the role"),
        (StatusCode.NOT_FOUND, "some\treason; check --project and --region"),
        (StatusCode.ALREADY_EXISTS, "some\treason; give another --name"),
        (StatusCode.ABORTED, "the service failed (some\treason); run the same command again"),
        (StatusCode.RESOURCE_EXHAUSTED, "quota exhausted (some\treason); ask for more, choose"),
    ],
)
def test_error_is_one_line_that_says_what_to_do(server, code, advice):
    server.inject("CreateCustomJob", code, "some\n reason")
    line = refusal(submit, server)
    assert line.startswith("create the job: ")
    assert advice.replace("\t", " ") in line
    assert len(server.requests("CreateCustomJob")) == 1


def test_call_that_fails_for_a_moment_is_retried(server):
    server.inject("ListCustomJobs", StatusCode.UNAVAILABLE, times=2)
    server.inject("CreateCustomJob", StatusCode.UNAVAILABLE, times=2)
    job = make_vertex_job()
    connect(server, retry_seconds=30).submit(job, make_request(job, make_options()))
    assert len(server.requests("CreateCustomJob")) == 3
    assert len(server.jobs) == 1


@pytest.mark.parametrize(
    "code", [StatusCode.UNAVAILABLE, StatusCode.INTERNAL, StatusCode.DEADLINE_EXCEEDED]
)
def test_lost_response_does_not_make_a_second_job(server, code):
    server.inject("CreateCustomJob", code, after=True)
    assert submit(server) in server.jobs
    assert len(server.requests("CreateCustomJob")) == 1


def test_another_job_of_that_name_is_not_taken_for_the_lost_one(server):
    job = make_vertex_job(digest="f" * 64)
    request = make_request(job, make_options())
    other = make_request(make_vertex_job(), make_options()).custom_job
    server.inject("CreateCustomJob", StatusCode.UNAVAILABLE, meanwhile=lambda: server.add(other))
    assert "--name: imdb exists already" in refusal(connect(server).submit, job, request)
    assert len(server.jobs) == 1


def test_retries_end(server):
    server.inject("CreateCustomJob", StatusCode.UNAVAILABLE, "not today", times=1000)
    line = refusal(submit, server)
    assert "not today" in line
    assert "run the same command again" in line
    assert not server.jobs


def test_log_is_shown_with_the_newest_last(server):
    submit(server)
    server.entries = [
        {
            "timestamp": f"2026-01-01T00:00:0{second}Z",
            "resource": {"labels": {"task_name": f"workerpool{second}-0"}},
            **payload,
        }
        for second, payload in enumerate(
            (
                {"textPayload": "one\n"},
                {"jsonPayload": {"message": "two"}},
                {"jsonPayload": {"a": 1}},
            )
        )
    ]
    assert connect(server).logs("imdb").splitlines() == [
        "2026-01-01T00:00:00Z workerpool0-0 one",
        "2026-01-01T00:00:01Z workerpool1-0 two",
        '2026-01-01T00:00:02Z workerpool2-0 {"a": 1}',
    ]
    (asked,) = server.entry_requests
    assert asked["path"] == "/v2/entries:list"
    assert asked["resourceNames"] == ["projects/12345"]
    assert asked["filter"] == (
        'resource.labels.job_id="1000" AND timestamp>="2026-01-01T00:00:00+00:00"'
    )


def test_log_of_a_job_that_printed_nothing_is_empty(server):
    submit(server)
    assert connect(server).logs("imdb") == ""


def test_error_of_the_log_is_one_line(server):
    submit(server)
    server.entry_status = 403
    line = refusal(connect(server).logs, "imdb")
    assert line.startswith("read the log: not permitted (")
    remote = TARGET.connect(
        make_options(), None, server.channel, "http://127.0.0.1:9", retry_seconds=0.1
    )
    with pytest.raises(UserError, match=r"^read the log: the service failed \(") as raised:
        remote.logs("imdb")
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 600  # it repeats up to 300 characters of the cause


def test_missing_credentials_are_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    line = refusal(TARGET.connect, make_options())
    assert line.startswith(
        f"GOOGLE_APPLICATION_CREDENTIALS: '{tmp_path / 'none.json'}' holds no credentials"
    )
    assert line.endswith("unset the variable or correct the file")
