"""Run with `python -m pytest tests/storage/gcs_transfers_test.py`: what arrives, or not.

The real client talks to a server on this machine, into which the tests inject faults.
"""

import math

import pytest

from storage.errors import Corrupt, UserError
from storage.store import open_store
from tests.fakes.gcs_faults import Fault
from tests.storage.uses import USES

DATA = bytes(100_000)
# Body of an error -> what is said of it.
BODIES = {
    b"": "status 403",
    b"null": "status 403",
    b"7": "7",
    b'"as a text"': "as a text",
    b"[]": "status 403",
    b'[{"error": {"message": "in a list"}}]': "in a list",
    b'{"error": null}': '{"error": null}',
    b'{"error": "a text"}': "a text",
    b'{"error": ["one", "two"]}': "one; two",
    b'{"error": {"message": null, "code": 403}}': '{"error": {"message": null, "code": 403}}',
    b'{"error": {"message": {"reason": "quota"}}}': '{"reason": "quota"}',
    b'{"error": {"message": 7, "details": "none"}}': "7",
    b'{"error": {"message": ["one\\ntwo", 3]}}': "one two; 3",
    b'{"error": {"message": "1", "errors": [{"message": "1"}, {"message": "2"}]}}': "1; 2",
    b"<html><style>p {}</style><title>Bad</title>\n<p>Gate way</p></html>": "Bad Gate way",
    b"no JSON\r\nof two lines \x1b\xff": "no JSON of two lines \N{REPLACEMENT CHARACTER}",
    b"[" * 100_000: "[" * 300,
}


@pytest.fixture
def name(tmp_path):
    """The name in the bucket of an object `a` in the store."""
    return f"{tmp_path.name}/a"


@pytest.fixture
def store(cloud, tmp_path):
    yield open_store(f"gs://bucket/{tmp_path.name}", retry_seconds=5.0)
    cloud.clear()


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:50]))
def test_error_body_of_any_shape_is_one_readable_line(cloud, store, file, body):
    for operation, use in (("insert", "write"), ("list", "list"), ("download", "read")):
        cloud.put("bucket", store.url.removeprefix("gs://bucket/") + "/a", b"1")
        cloud.inject(Fault("403", operation, body=body))
        with pytest.raises(UserError) as error:
            USES[use](store, "a", file)
        assert f"not permitted ({BODIES[body]}); grant" in str(error.value)


@pytest.mark.parametrize("body", [b'"as a text"', b'{"error": null}', b'{"error": "a text"}'])
def test_transient_error_is_retried_whatever_its_body(cloud, store, body):
    cloud.inject(Fault("503", "list", body=body))
    assert store.list() == []


@pytest.mark.parametrize("use", ["read", "download"])
def test_resumed_download_is_verified_and_fetched_again(cloud, store, tmp_path, use):
    store.write("a", DATA)
    cloud.inject(Fault("truncate", "download"))
    changed = cloud.inject(Fault("corrupt", "download"))
    copy = tmp_path / "copy"
    assert (USES[use](store, "a", copy) or copy.read_bytes()) == DATA
    assert changed.hits == 1


@pytest.mark.parametrize("use", ["read", "download"])
def test_object_whose_resumed_download_never_arrives_intact_is_corrupt(cloud, store, tmp_path, use):
    store.write("a", DATA)
    for _ in range(3):
        cloud.inject(Fault("truncate", "download"))
        cloud.inject(Fault("corrupt", "download"))
    with pytest.raises(Corrupt, match=r"not transferred intact in 3 tries \(.* another checksum"):
        USES[use](store, "a", tmp_path / "copy")


@pytest.mark.parametrize("status", [400, 412])
@pytest.mark.parametrize("use", ["write", "create", "upload", "open_log"])
def test_upload_that_is_changed_is_repeated_whatever_its_status(
    cloud, store, name, file, monkeypatch, use, status
):
    monkeypatch.setattr(cloud.content, "wrong_checksum", status)
    changed = cloud.inject(Fault("corrupt", "insert"))
    data = file.read_bytes()
    USES[use](store, "a", file)
    assert changed.hits == 1
    assert cloud.objects("bucket")[name] == (data if use == "upload" else b"x")


@pytest.mark.parametrize(
    ("use", "status"),
    [
        *((use, 400) for use in ("write", "create", "upload", "open_log")),
        *((use, 412) for use in ("write", "upload")),
    ],
)
def test_upload_that_is_always_changed_ends(cloud, store, file, monkeypatch, use, status):
    monkeypatch.setattr(cloud.content, "wrong_checksum", status)
    cloud.inject(Fault("corrupt", "insert", times=math.inf))
    with pytest.raises(Corrupt, match=r"not transferred intact in 3 tries \(.*doesn't match"):
        USES[use](store, "a", file)


@pytest.mark.parametrize("use", ["create", "open_log"])
def test_changed_upload_that_is_answered_as_a_failed_precondition_ends(
    cloud, store, file, monkeypatch, use
):
    monkeypatch.setattr(cloud.content, "wrong_checksum", 412)
    cloud.inject(Fault("corrupt", "insert", times=math.inf))
    with pytest.raises(UserError, match=r"100 times in a row \(.*doesn't match"):
        USES[use](store, "a", file)


@pytest.mark.parametrize("use", ["create", "open_log"])
def test_object_that_is_deleted_after_each_failed_precondition_is_written(
    cloud, store, name, file, use
):
    # An answer of 412, and then no object, is what an object leaves that another process deletes.
    fault = cloud.inject(Fault("412", "insert", times=9))
    USES[use](store, "a", file)
    assert fault.hits == 9
    assert cloud.objects("bucket")[name] == b"x"


@pytest.mark.parametrize("status", ["404", "410"])
def test_upload_whose_session_is_gone_begins_again(cloud, store, name, status):
    data = bytes(9 * 2**20)  # above 8 MiB it is sent in chunks
    gone = cloud.inject(Fault(status, "chunk"))
    store.write("a", data)
    assert gone.hits == 1
    assert cloud.objects("bucket")[name] == data


def test_write_of_an_object_that_is_always_replaced_ends(cloud, store, name):
    with pytest.raises(
        UserError, match=r"a: another process has replaced it 100 times in a row \("
    ):
        store.write("a", b"1", lambda: cloud.put("bucket", name, b"2"))


def test_whatever_ends_the_thread_of_a_log_is_raised(cloud, store, name):
    checks = iter([None])
    log = store.open_log("a", b"1", lambda: next(checks))
    cloud.put("bucket", name, b"of another process")  # so that the log asks for the next check
    log.append(b"2")
    for use in (log.close, lambda: log.append(b"3"), log.close):
        with pytest.raises(StopIteration):
            use()


@pytest.mark.parametrize("body", [b'{"error": {"message": {}}}', b'"as a text"'])
def test_log_whose_writes_fail_with_any_error_body_raises_when_closed(cloud, store, body):
    log = store.open_log("a", b"1", lambda: None)
    cloud.inject(Fault("403", "insert", body=body, times=math.inf))
    log.append(b"2")
    with pytest.raises(UserError, match="not permitted"):
        log.close()
