"""A job's log, read piece by piece, with tests/fakes/vertex_server.py as Cloud Logging."""

from datetime import datetime, timezone

import pytest

from deploy.targets.vertex import log_reader
from deploy.targets.vertex.request import make_request
from deploy.targets.vertex.target import TARGET
from storage.errors import UserError
from tests.deploy.examples import refusal
from tests.deploy.targets.vertex.jobs import make_options, make_vertex_job
from tests.fakes.vertex_server import VertexServer


@pytest.fixture
def server():
    with VertexServer() as server:
        server.add(make_request(make_vertex_job(), make_options()).custom_job)
        yield server


def connect(server, logging=None, retry_seconds=1.0):
    logging = logging or server.logging
    return TARGET.connect(make_options(), None, server.channel, logging, retry_seconds)


def entry(second, text="line", insert_id="", **fields):
    """Returns an entry that was printed some seconds after the job was made."""
    time = f"2026-01-01T00:{second // 60:02}:{second % 60:02}.123456789Z"
    return {"timestamp": time, "insertId": insert_id or text, "textPayload": text, **fields}


def texts(reader):
    return [line.split(" ", 2)[2] for line in reader.read()]


def test_line_has_its_time_and_worker(server):
    worker = {"resource": {"labels": {"task_name": "workerpool1-0"}}}
    server.entries = [
        entry(0, "one\n", **worker),
        {"timestamp": "2026-01-01T00:00:01Z", "insertId": "b", "jsonPayload": {"message": "two"}},
        {"timestamp": "2026-01-01T00:00:02Z", "insertId": "c", "jsonPayload": {"a": 1}},
    ]
    assert list(connect(server).log("imdb", None).read()) == [
        "2026-01-01T00:00:00.123456789Z workerpool1-0 one",
        "2026-01-01T00:00:01Z - two",
        '2026-01-01T00:00:02Z - {"a": 1}',
    ]
    (asked,) = server.entry_requests
    assert asked["path"] == "/v2/entries:list"
    assert asked["resourceNames"] == ["projects/12345"]
    assert asked["filter"] == (
        'resource.type="ml_job" AND resource.labels.job_id="1000" AND '
        'timestamp>="2026-01-01T00:00:00+00:00"'
    )


def test_all_pages_are_read_also_after_empty_ones(server, monkeypatch):
    monkeypatch.setattr(log_reader, "_ENTRIES_OF_A_PAGE", 2)
    server.empty_pages = 2
    server.entries = [entry(second, str(second)) for second in range(5)]
    assert texts(connect(server).log("imdb", None)) == ["0", "1", "2", "3", "4"]
    assert [request.get("pageToken") for request in server.entry_requests] == [
        *(None, "1", "2", "3", "4")
    ]


def test_each_line_is_read_once(server):
    server.entries = [entry(0, "a"), entry(1, "same", "x"), entry(1, "same", "y")]
    reader = connect(server).log("imdb", None)
    assert texts(reader) == ["a", "same", "same"]
    assert texts(reader) == []
    server.entries += [entry(1, "b"), entry(400, "c")]
    assert texts(reader) == ["b", "c"]
    assert texts(reader) == []


def test_line_that_arrives_late_is_not_lost(server):
    server.entries = [entry(300, "new")]
    reader = connect(server).log("imdb", None)
    assert texts(reader) == ["new"]
    server.entries += [entry(299, "late"), entry(301, "newer")]
    assert texts(reader) == ["late", "newer"]


def test_later_reads_do_not_begin_at_the_beginning(server):
    server.entries = [entry(0, "a"), entry(600, "b")]
    reader = connect(server).log("imdb", None)
    assert texts(reader) == ["a", "b"]
    list(reader.read())
    assert 'timestamp>="2026-01-01T00:08:00+00:00"' in server.entry_requests[-1]["filter"]


def test_log_begins_where_it_is_asked_to(server):
    server.entries = [entry(0, "a"), entry(60, "b")]
    since = datetime(2026, 1, 1, 0, 0, 30, tzinfo=timezone.utc)
    assert texts(connect(server).log("imdb", since)) == ["b"]


def test_log_of_a_job_that_printed_nothing_is_empty(server):
    assert texts(connect(server).log("imdb", None)) == []


def test_log_is_read_again_when_the_service_is_busy(server):
    server.entries = [entry(0, "a")]
    server.entry_statuses = [429, 503]
    assert texts(connect(server, retry_seconds=30).log("imdb", None)) == ["a"]


def test_error_of_the_log_is_one_line(server):
    server.entry_statuses = [403]
    line = refusal(list, connect(server).log("imdb", None).read())
    assert line.startswith("read the log: not permitted (")
    remote = connect(server, "http://127.0.0.1:9", retry_seconds=0.1)
    with pytest.raises(UserError, match=r"^read the log: the service failed \(") as raised:
        list(remote.log("imdb", None).read())
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 600  # it repeats up to 300 characters of the cause
