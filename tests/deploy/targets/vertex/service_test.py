"""The life of jobs over the wire, with tests/fakes/vertex_server.py as the service."""

import re
from datetime import timedelta

import pytest
from google.cloud.aiplatform_v1.types import CustomJob, JobState
from grpc import StatusCode

from deploy.google_api import QuotaExhausted
from deploy.targets.target import State, Waiting
from deploy.targets.vertex.request import make_request
from deploy.targets.vertex.target import TARGET
from deploy.watch import Watch
from tests.deploy.examples import refusal
from tests.deploy.targets.vertex.jobs import make_options, make_vertex_job
from tests.fakes.vertex_server import LIFE, VertexServer

pytestmark = pytest.mark.usefixtures("cloud")
RUNNING = JobState.JOB_STATE_RUNNING


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


@pytest.fixture
def exit_code(cloud):
    """Returns a function that writes a job's last exit code, and deletes what is there."""
    name = "runs/a/logs/imdb.exit"
    yield lambda code: cloud.put("bucket", name, f"{code}\n".encode())
    if name in cloud.objects("bucket"):
        cloud.remove("bucket", name)


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


def test_job_without_machines_is_waiting(server):
    submit(server)
    remote = connect(server)
    assert [remote.state("imdb").waiting for _ in range(4)] == [True, True, False, False]


def test_failed_job_has_its_reason(server):
    server.fail(submit(server), "workerpool0-0 exited\nwith 1")
    reason = "workerpool0-0 exited with 1 (INVALID_ARGUMENT)"
    assert connect(server).state("imdb") == State("JOB_STATE_FAILED", True, False, reason)


@pytest.mark.parametrize(
    ("code", "message", "no_capacity"),
    [
        (8, "Resources are insufficient in region: us-central1.", True),
        (13, "The zone does not have enough resources available", True),
        (8, "The following quota metrics exceed quota limits: custom_model_training_cpus", False),
        (3, "workerpool0-0 exited with 1", False),
        (8, "The replica workerpool0-0 ran out-of-memory and exited with 137", False),
    ],
)
def test_missing_machines_are_told_from_other_failures(server, code, message, no_capacity):
    server.fail(submit(server), message, code)
    assert connect(server).state("imdb").no_capacity == no_capacity


def test_job_that_asks_for_another_start_is_taken_away(server, exit_code):
    server.fail(submit(server), "exited with 134")
    exit_code(75)
    state = connect(server).state("imdb")
    assert (state.over, state.succeeded, state.taken_away) == (True, False, True)
    assert state.detail.endswith("it left with exit code 75, which asks for another start")


@pytest.mark.parametrize("code", [1, 134, 143, "7", "75 or so", ""])
def test_other_exit_codes_are_no_guess(server, exit_code, code):
    server.fail(submit(server), "")
    exit_code(code)
    assert not connect(server).state("imdb").taken_away


@pytest.mark.parametrize("state", ["RUNNING", "CANCELLED", "SUCCEEDED", "EXPIRED"])
def test_only_a_failed_job_is_taken_away(server, exit_code, state):
    server.life = (JobState[f"JOB_STATE_{state}"],)
    submit(server)
    exit_code(75)
    assert not connect(server).state("imdb").taken_away


def test_state_is_shown_though_the_exit_code_cannot_be_read(server, monkeypatch, tmp_path):
    server.fail(submit(server), "exited with 1")
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    state = connect(server).state("imdb")
    assert state.text == "JOB_STATE_FAILED"
    assert "its exit code can't be read: " in state.detail


def test_recreated_job_is_the_same_but_for_its_exit_code(server, exit_code):
    first = submit(server)
    server.fail(first, "exited with 134")
    exit_code(75)
    remote = connect(server)
    second = remote.recreate("imdb")
    assert second != first
    assert server.jobs[second].job_spec == server.jobs[first].job_spec
    assert server.jobs[second].labels == server.jobs[first].labels
    server.fail(second, "the image can't be pulled")  # before the worker starts
    assert not remote.state("imdb").taken_away


@pytest.mark.parametrize("kind", ["display name", "number", "full name"])
def test_wait_submits_a_job_again_that_asks_for_it(server, exit_code, kind):
    full_name = submit(server)
    server.fail(full_name, "exited with 134")
    exit_code(75)
    names = {"display name": "imdb", "number": "1000", "full name": full_name}
    waiting = Waiting(resubmits=1)
    code = Watch(connect(server), names[kind], waiting, False, lambda _: None).run()
    assert code == 0
    assert [job.state.name for job in server.jobs.values()] == [
        *("JOB_STATE_FAILED", "JOB_STATE_SUCCEEDED")
    ]


def test_job_of_another_project_is_recreated_there(server):
    name = submit(server)
    server.fail(name, "exited with 134")
    connect(server).recreate(name)
    assert server.requests("CreateCustomJob")[-1].parent == "projects/12345/locations/us-central1"


def test_lost_response_does_not_recreate_a_job_twice(server):
    server.fail(submit(server), "exited with 134")
    server.inject("CreateCustomJob", StatusCode.UNAVAILABLE, after=True)
    assert connect(server).recreate("imdb") == list(server.jobs)[-1]
    assert len(server.jobs) == 2


def test_job_that_is_not_over_is_not_recreated(server):
    submit(server)
    assert "imdb exists already" in refusal(connect(server).recreate, "imdb")
    assert len(server.jobs) == 1


def test_shell_of_a_running_job_has_its_address(server):
    job = make_request(make_vertex_job(), make_options()).custom_job
    job.state = RUNNING
    job.web_access_uris = {"workerpool0-0": "https://shell.example/1"}
    name = server.add(job).name
    remote = connect(server)
    assert remote.state("imdb").detail == "shell of workerpool0-0: https://shell.example/1"
    server.fail(name, "")
    assert "shell" not in remote.state("imdb").detail


@pytest.mark.parametrize("state", ["EXPIRED", "CANCELLED", "PARTIALLY_SUCCEEDED"])
def test_other_final_states_are_no_success(server, state):
    server.life = (JobState[f"JOB_STATE_{state}"],)
    submit(server)
    assert connect(server).state("imdb")[1:3] == (True, False)


@pytest.mark.filterwarnings("ignore:Unrecognized JobState enum value")
def test_state_that_is_newer_than_the_client_library_is_shown_as_its_number(server):
    server.life = (RUNNING,)
    CustomJob.pb(server.jobs[submit(server)]).state = 99
    remote = connect(server)
    assert remote.state("imdb")[:2] == ("99", False)
    assert "in 99; give another" in refusal(submit, server)
    assert "not over, but 99" in refusal(remote.delete, "imdb")


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


def test_job_that_ends_while_it_is_cancelled_is_no_error(server):
    name = submit(server)
    code = StatusCode.FAILED_PRECONDITION
    server.inject(
        "CancelCustomJob", code, "the job is over", meanwhile=lambda: server.fail(name, "")
    )
    connect(server).cancel("imdb")
    submit(server)
    server.inject("CancelCustomJob", code, "for another reason")
    assert "for another reason" in refusal(connect(server).cancel, "imdb")


def test_name_that_is_taken_is_refused(server):
    name = submit(server)
    line = refusal(submit, server, digest="f" * 64)
    assert line == (
        f"--name: imdb exists already as {name}, in JOB_STATE_QUEUED; give another, or cancel that "
        "one"
    )
    assert len(server.jobs) == 1
    submit(server, name="imdb-2")


def test_name_of_a_job_that_is_over_is_free(server):
    server.fail(submit(server), "")
    assert connect(server).state(submit(server)).text == "JOB_STATE_QUEUED"


def test_newest_of_several_jobs_is_meant(server):
    job = make_request(make_vertex_job(), make_options()).custom_job
    for state in ("FAILED", "RUNNING"):
        job.state = JobState[f"JOB_STATE_{state}"]
        server.add(job)
    assert connect(server).state("imdb").text == "JOB_STATE_RUNNING"


def test_job_is_found_by_each_of_its_names(server):
    name = submit(server)
    server.fail(name, "")
    submit(server)
    remote = connect(server)
    for each in (name, name.rpartition("/")[2]):
        assert remote.state(each).text == "JOB_STATE_FAILED"
    assert remote.find("imdb").text == "JOB_STATE_QUEUED"


def test_job_that_does_not_exist_is_named(server):
    remote = connect(server)
    for call in (remote.state, remote.cancel, remote.delete, remote.link, remote.recreate):
        assert refusal(call, "imdb").startswith("imdb: no such job in projects/some-project/")
    assert refusal(remote.log, "imdb", None).startswith("imdb: no such job")
    assert refusal(remote.state, "1234").startswith("1234: no such job")
    assert remote.find("imdb") is None
    assert remote.find("1234") is None


def test_name_is_checked_before_it_becomes_part_of_the_filter(server):
    line = refusal(connect(server).state, 'a" OR display_name="b')
    assert line.startswith("--name: got ")
    assert not server.log


def test_all_jobs_of_a_name_are_deleted(server):
    for _ in range(2):
        server.fail(submit(server), "")
    submit(server, name="other")
    remote = connect(server)
    remote.delete("imdb")
    assert [job.display_name for job in server.jobs.values()] == ["other"]
    line = refusal(remote.delete, "other")
    assert re.fullmatch(
        r"other: .*/1002 is not over, but JOB_STATE_QUEUED; `cancel` it first", line
    )


def test_jobs_are_listed_with_the_newest_first(server):
    server.add(CustomJob(display_name="of-someone-else", state=RUNNING))
    server.fail(submit(server), "no luck", 13)
    submit(server, name="imdb-2")
    listed = connect(server).jobs()
    assert [(job.name, job.state.text) for job in listed] == [
        ("imdb-2", "JOB_STATE_QUEUED"),
        ("imdb", "JOB_STATE_FAILED"),
    ]
    assert listed[0].created - listed[1].created == timedelta(hours=1)


def test_link_leads_to_the_console(server):
    for name in (submit(server), "imdb"):
        assert connect(server).link(name) == (
            "https://console.cloud.google.com/agent-platform/locations/us-central1/training/1000"
            "?project=12345"
        )


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (StatusCode.INVALID_ARGUMENT, "refused (some\treason); change the flag that it names"),
        (StatusCode.UNAUTHENTICATED, "run `gcloud auth application-default login`"),
        (StatusCode.PERMISSION_DENIED, "not permitted (some\treason); the prerequisites"),
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


def test_exhausted_quota_is_told_from_other_refusals(server):
    server.inject("CreateCustomJob", StatusCode.RESOURCE_EXHAUSTED)
    with pytest.raises(QuotaExhausted):
        submit(server)


def test_call_that_fails_for_a_moment_is_retried(server):
    server.inject("ListCustomJobs", StatusCode.UNAVAILABLE, times=2)
    server.inject("CreateCustomJob", StatusCode.UNAVAILABLE, times=2)
    job = make_vertex_job()
    connect(server, retry_seconds=30).submit(job, make_request(job, make_options()))
    assert len(server.requests("CreateCustomJob")) == 3
    assert len(server.jobs) == 1


def test_quota_of_calls_in_a_minute_passes(server):
    submit(server)
    server.inject("ListCustomJobs", StatusCode.RESOURCE_EXHAUSTED)
    assert connect(server, retry_seconds=30).state("imdb").text == "JOB_STATE_QUEUED"


@pytest.mark.parametrize(
    "code", [StatusCode.UNAVAILABLE, StatusCode.INTERNAL, StatusCode.DEADLINE_EXCEEDED]
)
def test_lost_response_does_not_make_a_second_job(server, code):
    server.inject("CreateCustomJob", code, after=True)
    assert submit(server) in server.jobs
    assert len(server.requests("CreateCustomJob")) == 1


def test_quota_of_a_retry_does_not_hide_what_a_lost_response_has_made(server):
    def exhaust():
        server.inject("ListCustomJobs", StatusCode.RESOURCE_EXHAUSTED)

    server.inject("CreateCustomJob", StatusCode.UNAVAILABLE, after=True, meanwhile=exhaust)
    job = make_vertex_job()
    name = connect(server, retry_seconds=30).submit(job, make_request(job, make_options()))
    assert [*server.jobs] == [name]


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


@pytest.mark.parametrize("place", ["none.json", "."])  # missing, and a folder
def test_missing_credentials_are_one_line(monkeypatch, tmp_path, place):
    path = tmp_path / place
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    line = refusal(TARGET.connect, make_options())
    assert line.startswith(f"GOOGLE_APPLICATION_CREDENTIALS: '{path}' holds no credentials")
    assert line.endswith("unset the variable or correct the file")
