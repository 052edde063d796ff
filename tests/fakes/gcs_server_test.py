"""Run with `python -m pytest tests/gcs_server_test.py`."""

import base64
import contextlib
import http.client
import io
import json
import math
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import google.auth.exceptions
import google_crc32c
import pytest
import requests
from google.api_core import exceptions
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption
from google.cloud.storage.retry import DEFAULT_RETRY

from tests.fakes.gcs_faults import Fault
from tests.fakes.gcs_server import GcsServer

RETRY = DEFAULT_RETRY.with_delay(initial=0.01, maximum=0.1).with_timeout(10)
BROKEN = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)
UNIT = 256 << 10
# Neither all alike nor random, and not a whole number of chunks.
DATA = bytes(range(251)) * 4200
assert 4 * UNIT < len(DATA) < 5 * UNIT


@pytest.fixture
def server():
    with GcsServer(buckets=("bucket", "other"), page_size=3) as server:
        yield server


@pytest.fixture
def bucket(server, monkeypatch):
    """The bucket through the real client."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
    # Otherwise a thread of the client asks for the bucket too, at a time of its own.
    monkeypatch.setenv("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
    with contextlib.closing(storage.Client(project=None)) as client:
        yield client.bucket("bucket")


def crc32c(data):
    return base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()


def operations(server):
    return [request.operation for request in server.log]


def statuses(server):
    return [request.status for request in server.log]


def upload(bucket, name="name", data=DATA, **options):
    """In chunks of 512 KiB."""
    blob = bucket.blob(name, chunk_size=2 * UNIT)
    # Without a size the client doesn't consider the upload in one piece.
    blob.upload_from_file(io.BytesIO(data), **{"retry": RETRY, **options})
    return blob


def session(server, **query):
    """The URL of a fresh upload session, without the client."""
    query = {"uploadType": "resumable", "name": "name", **query}
    response = requests.post(f"{server.url}/upload/storage/v1/b/bucket/o", params=query, timeout=5)
    assert response.status_code == 200
    return response.headers["Location"]


def put(url, content_range, data=b"", **headers):
    headers = {"Content-Range": f"bytes {content_range}", **headers}
    return requests.put(url, data=data, headers=headers, timeout=5)


def get(server, path, **options):
    return requests.get(f"{server.url}/storage/v1/{path}", timeout=5, **options)


class TestObjects:
    def test_what_is_uploaded_is_downloaded(self, server, bucket):
        bucket.blob("a/b c?é").upload_from_string(b"data", content_type="text/x")
        blob = bucket.get_blob("a/b c?é")
        assert blob.download_as_bytes() == b"data"
        assert (blob.size, blob.content_type, blob.metageneration) == (4, "text/x", 1)
        assert blob.crc32c == crc32c(b"data")
        assert server.objects("bucket") == {"a/b c?é": b"data"}
        assert operations(server) == ["insert", "get", "download"]
        assert {(r.bucket, r.name, r.status) for r in server.log} == {("bucket", "a/b c?é", 200)}

    def test_metadata_are_kept(self, bucket):
        blob = bucket.blob("name")
        blob.metadata, blob.cache_control = {"step": "7"}, "no-store"
        blob.upload_from_string(b"")
        blob = bucket.get_blob("name")
        assert (blob.metadata, blob.cache_control) == ({"step": "7"}, "no-store")
        assert blob.time_created == blob.updated

    @pytest.mark.parametrize("data", [b"", b"\r\n\r\n--", b"\r\n" * 9, b"\0\xff"])
    def test_data_of_any_bytes(self, server, bucket, data):
        bucket.blob("multipart").upload_from_string(data)
        upload(bucket, "resumable", data)
        assert server.objects("bucket") == {"multipart": data, "resumable": data}

    def test_generations_increase(self, server, bucket):
        blob, seen = bucket.blob("name"), []
        for _ in range(5):
            blob.upload_from_string(b"data")
            seen.append(blob.generation)
        assert seen == sorted(set(seen))

    def test_only_the_live_generation_is_there(self, server, bucket):
        blob = bucket.blob("name")
        blob.upload_from_string(b"old")
        old = bucket.blob("name", generation=blob.generation)
        assert old.download_as_bytes() == b"old"
        blob.upload_from_string(b"new")
        with pytest.raises(exceptions.NotFound):
            old.download_as_bytes()
        with pytest.raises(exceptions.NotFound):
            old.delete()
        assert server.objects("bucket") == {"name": b"new"}

    def test_a_deleted_object_is_gone(self, server, bucket):
        server.put("bucket", "name", b"data")
        bucket.delete_blob("name")
        assert not bucket.blob("name").exists()
        with pytest.raises(exceptions.NotFound, match="No such object: bucket/name"):
            bucket.delete_blob("name")

    def test_a_test_can_put_and_remove(self, server, bucket):
        server.put("bucket", "name", b"data")
        assert bucket.blob("name").download_as_bytes() == b"data"
        server.remove("bucket", "name")
        assert bucket.get_blob("name") is None

    def test_a_bucket_that_is_missing(self, server, bucket):
        missing = bucket.client.bucket("missing")
        assert bucket.exists() and not missing.exists()
        for call in (
            lambda: missing.blob("name").upload_from_string(b""),
            lambda: upload(missing),
            lambda: missing.blob("name").reload(),
            lambda: missing.blob("name").download_as_bytes(),
            lambda: missing.delete_blob("name"),
            lambda: list(missing.list_blobs()),
        ):
            with pytest.raises(exceptions.NotFound, match="The specified bucket does not exist"):
                call()

    def test_an_upload_of_the_media_alone(self, server):
        response = requests.post(
            f"{server.url}/upload/storage/v1/b/bucket/o?uploadType=media&name=a/b",
            data=b"data",
            headers={"Content-Type": "text/x"},
            timeout=5,
        )
        assert response.json()["contentType"] == "text/x"
        assert server.objects("bucket") == {"a/b": b"data"}

    def test_an_upload_without_a_name(self, server):
        url = f"{server.url}/upload/storage/v1/b/bucket/o?uploadType=media"
        assert requests.post(url, data=b"data", timeout=5).status_code == 400

    def test_errors_have_the_documented_form(self, server):
        response = get(server, "b/bucket/o/name")
        message = "No such object: bucket/name"
        error = {"message": message, "domain": "global", "reason": "notFound"}
        assert response.json() == {"error": {"code": 404, "message": message, "errors": [error]}}

    @pytest.mark.parametrize("path", ["b/bucket/o?versions=true", "b/bucket/acl", "b"])
    def test_what_is_not_implemented_is_loud(self, server, path):
        assert get(server, path).status_code == 501
        assert operations(server) == ["unknown"]


class TestChecksums:
    @pytest.mark.parametrize("kind", ["crc32c", "md5"])
    def test_a_wrong_one_in_the_header(self, server, kind):
        url = f"{server.url}/upload/storage/v1/b/bucket/o?uploadType=media&name=name"
        headers = {"X-Goog-Hash": f"{kind}={crc32c(b'other')}"}
        response = requests.post(url, data=b"data", headers=headers, timeout=5)
        assert response.status_code == 400 and kind.upper() in response.text
        assert server.objects("bucket") == {}

    def test_a_right_one_in_the_header(self, server):
        url = f"{server.url}/upload/storage/v1/b/bucket/o?uploadType=media&name=name"
        headers = {"X-Goog-Hash": f"crc32c={crc32c(b'data')},md5=jXd/OF09/siBXSD3SWAm3A=="}
        assert requests.post(url, data=b"data", headers=headers, timeout=5).status_code == 200

    def test_a_wrong_one_in_the_metadata(self, server, bucket):
        blob = bucket.blob("name")
        blob.crc32c = crc32c(b"other")
        with pytest.raises(exceptions.BadRequest, match="CRC32C"):
            blob.upload_from_string(b"data", checksum=None)
        assert server.objects("bucket") == {}

    def test_a_wrong_one_at_the_start_of_a_session(self, server, bucket):
        with pytest.raises(exceptions.BadRequest, match="CRC32C"):
            upload(bucket, crc32c_checksum_value=crc32c(b"other"))
        assert server.objects("bucket") == {}

    def test_a_wrong_one_with_the_last_chunk(self, server):
        url = session(server)
        answer = put(url, "0-3/4", b"data", **{"X-Goog-Hash": f"crc32c={crc32c(b'other')}"})
        assert answer.status_code == 400
        assert server.objects("bucket") == {}
        assert put(url, "*/*").status_code == 410


class TestPreconditions:
    @pytest.fixture
    def generation(self, server, bucket):
        server.put("bucket", "name", b"data")
        return bucket.get_blob("name").generation

    @pytest.mark.parametrize("size", [None, 5])  # resumable, and in one request
    def test_create_only(self, server, bucket, size):
        upload(bucket, data=b"first", size=size, if_generation_match=0)
        with pytest.raises(exceptions.PreconditionFailed):
            upload(bucket, data=b"later", size=size, if_generation_match=0)
        assert server.objects("bucket") == {"name": b"first"}

    def test_one_of_many_creates(self, server, bucket):
        clients = 8
        start = threading.Barrier(clients)

        def create(number):
            start.wait()
            with contextlib.suppress(exceptions.PreconditionFailed):
                bucket.blob("name").upload_from_string(str(number), if_generation_match=0)
                return str(number).encode()

        with ThreadPoolExecutor(clients) as pool:
            winners = [data for data in pool.map(create, range(clients)) if data]
        assert winners == list(server.objects("bucket").values())

    def test_replace_only_what_was_seen(self, server, bucket, generation):
        blob = bucket.blob("name")
        blob.upload_from_string(b"new", if_generation_match=generation)
        with pytest.raises(exceptions.PreconditionFailed):
            blob.upload_from_string(b"newer", if_generation_match=generation)
        assert server.objects("bucket") == {"name": b"new"}

    def test_replace_only(self, bucket):
        with pytest.raises(exceptions.PreconditionFailed):
            bucket.blob("name").upload_from_string(b"data", if_generation_not_match=0)

    def test_delete_only_what_was_seen(self, server, bucket, generation):
        with pytest.raises(exceptions.PreconditionFailed):
            bucket.blob("name").delete(if_generation_match=generation + 1)
        with pytest.raises(exceptions.PreconditionFailed):
            bucket.blob("name").delete(if_metageneration_match=2)
        bucket.blob("name").delete(if_generation_match=generation, if_metageneration_match=1)
        assert server.objects("bucket") == {}

    @pytest.mark.parametrize("read", ["reload", "download_as_bytes"])
    def test_reads(self, bucket, generation, read):
        read = getattr(bucket.blob("name"), read)
        read(if_generation_match=generation, if_metageneration_not_match=2)
        with pytest.raises(exceptions.PreconditionFailed):
            read(if_generation_match=generation + 1)

    @pytest.mark.parametrize("alt", ["json", "media"])
    def test_reads_of_what_has_not_changed(self, server, generation, alt):
        query = {"alt": alt, "ifGenerationNotMatch": generation}
        response = get(server, "b/bucket/o/name", params=query)
        assert (response.status_code, response.content) == (304, b"")

    def test_a_session_looks_at_its_end_too(self, server):
        url = session(server, ifGenerationMatch="0")
        server.put("bucket", "name", b"another's")
        assert put(url, "0-3/4", b"data").status_code == 412
        assert server.objects("bucket") == {"name": b"another's"}

    def test_one_that_is_no_number(self, server, generation):
        query = {"ifGenerationMatch": "x"}
        assert get(server, "b/bucket/o/name", params=query).status_code == 400


class TestDownload:
    @pytest.fixture(autouse=True)
    def an_object(self, server):
        server.put("bucket", "a/b", b"0123456789")

    def test_ranges_of_the_client(self, bucket):
        assert bucket.blob("a/b").download_as_bytes(start=2, end=4) == b"234"
        assert bucket.blob("a/b").download_as_bytes(start=7) == b"789"
        with pytest.raises(exceptions.RequestRangeNotSatisfiable):
            bucket.blob("a/b").download_as_bytes(start=10)

    @pytest.mark.parametrize(
        ("asked", "status", "data", "told"),
        [
            ("bytes=0-0", 206, b"0", "bytes 0-0/10"),
            ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
            ("bytes=-3", 206, b"789", "bytes 7-9/10"),
            ("bytes=-99", 206, b"0123456789", "bytes 0-9/10"),
            ("bytes=4-2", 416, None, "bytes */10"),
            ("bytes=10-", 416, None, "bytes */10"),
            ("lines=1-2", 200, b"0123456789", None),
        ],
    )
    def test_ranges(self, server, asked, status, data, told):
        response = get(server, "b/bucket/o/a%2Fb?alt=media", headers={"Range": asked})
        assert (response.status_code, response.headers.get("Content-Range")) == (status, told)
        assert data is None or response.content == data

    def test_a_range_of_nothing(self, server, bucket):
        server.put("bucket", "empty", b"")
        assert bucket.blob("empty").download_as_bytes() == b""
        response = get(server, "b/bucket/o/empty?alt=media", headers={"Range": "bytes=0-"})
        assert response.headers["Content-Range"] == "bytes */0"

    def test_headers_are_those_of_the_whole_object(self, server):
        response = get(server, "b/bucket/o/a%2Fb?alt=media", headers={"Range": "bytes=2-4"})
        resource = get(server, "b/bucket/o/a%2Fb").json()
        headers = response.headers
        assert headers["X-Goog-Hash"] == f"crc32c={resource['crc32c']},md5={resource['md5Hash']}"
        assert headers["X-Goog-Generation"] == resource["generation"]
        assert headers["X-Goog-Stored-Content-Length"] == "10"
        assert headers["Content-Type"] == "application/octet-stream"

    def test_a_connection_is_kept(self, server):
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=5)
        sockets = set()
        with contextlib.closing(connection):
            for path in ("b/bucket/o/a%2Fb?alt=media", "b/bucket/o/none", "b/bucket"):
                connection.request("GET", f"/storage/v1/{path}")
                sockets.add(connection.sock)
                connection.getresponse().read()
        assert len(sockets) == 1


class TestList:
    @pytest.fixture(autouse=True)
    def names(self, server):
        for name in ("a/1", "a/2", "a/b/3", "a0", "é", "￿", "\U0001f600", "z"):
            server.put("bucket", name, b"")

    def listed(self, bucket, **options):
        return [blob.name for blob in bucket.list_blobs(**options)]

    def test_all_pages_in_the_order_of_bytes(self, server, bucket):
        names = ["a/1", "a/2", "a/b/3", "a0", "z", "é", "￿", "\U0001f600"]
        assert self.listed(bucket) == names
        assert operations(server) == ["list"] * 3  # page_size is 3

    def test_a_prefix(self, server, bucket):
        assert self.listed(bucket, prefix="a/") == ["a/1", "a/2", "a/b/3"]
        assert self.listed(bucket, prefix="b") == []
        assert [request.name for request in server.log] == ["a/", "b"]

    def test_a_delimiter(self, bucket):
        blobs = bucket.list_blobs(prefix="a/", delimiter="/")
        assert [blob.name for blob in blobs] == ["a/1", "a/2"]
        assert blobs.prefixes == {"a/b/"}

    def test_prefixes_fill_pages_too(self, bucket):
        blobs = bucket.list_blobs(delimiter="/", page_size=1)
        assert [blob.name for blob in blobs] == ["a0", "z", "é", "￿", "\U0001f600"]
        assert blobs.prefixes == {"a/"}

    def test_offsets(self, bucket):
        assert self.listed(bucket, start_offset="a/2", end_offset="z") == ["a/2", "a/b/3", "a0"]

    def test_max_results(self, bucket):
        assert self.listed(bucket, max_results=2) == ["a/1", "a/2"]

    def test_a_page_starts_after_the_last_one_whatever_was_removed(self, server):
        page = get(server, "b/bucket/o?maxResults=2").json()
        server.remove("bucket", "a/2")
        query = {"pageToken": page["nextPageToken"], "maxResults": 1}
        assert [i["name"] for i in get(server, "b/bucket/o", params=query).json()["items"]] == [
            "a/b/3"
        ]

    def test_nothing(self, server):
        assert get(server, "b/other/o").json() == {"kind": "storage#objects"}


class TestResumableUpload:
    def test_in_chunks(self, server, bucket):
        upload(bucket, size=None)
        assert server.objects("bucket") == {"name": DATA}
        assert operations(server) == ["start", "chunk", "chunk", "chunk"]
        assert statuses(server) == [200, 308, 308, 200]

    def test_a_whole_number_of_chunks_of_unknown_size(self, server, bucket):
        upload(bucket, data=DATA[: 4 * UNIT])
        assert server.objects("bucket") == {"name": DATA[: 4 * UNIT]}

    def test_of_a_large_file(self, server, bucket):
        data = DATA * 9
        assert len(data) > 8 << 20  # from here on the client does it by itself
        bucket.blob("name").upload_from_string(data, retry=RETRY)
        assert server.objects("bucket") == {"name": data}
        assert operations(server)[0] == "start"

    def test_the_metadata_of_the_start(self, server, bucket):
        url = bucket.blob("name").create_resumable_upload_session(content_type="text/x")
        put(url, "0-3/4", b"data")
        assert bucket.get_blob("name").content_type == "text/x"

    def test_in_one_request(self, server):
        assert requests.put(session(server), data=b"data", timeout=5).status_code == 200
        assert server.objects("bucket") == {"name": b"data"}

    def test_the_status_tells_what_has_arrived(self, server):
        url = session(server)
        assert put(url, "*/*").status_code == 308
        assert "Range" not in put(url, "*/*").headers
        answer = put(url, f"0-{UNIT - 1}/*", DATA[:UNIT])
        assert (answer.status_code, answer.headers["Range"]) == (308, f"bytes=0-{UNIT - 1}")
        assert put(url, f"*/{len(DATA)}").headers["Range"] == f"bytes=0-{UNIT - 1}"
        assert server.objects("bucket") == {}

    def test_bytes_that_are_there_already_are_ignored(self, server):
        url, size = session(server), 2 * UNIT
        put(url, f"0-{UNIT - 1}/{size}", DATA[:UNIT])
        put(url, f"0-{UNIT - 1}/{size}", bytes(UNIT))
        put(url, f"0-{size - 1}/{size}", bytes(UNIT) + DATA[UNIT:size])
        assert server.objects("bucket") == {"name": DATA[:size]}

    def test_a_gap(self, server):
        url = session(server)
        answer = put(url, f"{UNIT}-{2 * UNIT - 1}/*", DATA[:UNIT])
        assert answer.status_code == 503
        assert f"the upload offset is {UNIT} byte(s)" in answer.json()["error"]["message"]
        assert "Range" not in put(url, "*/*").headers

    @pytest.mark.parametrize("bad", ["0-9/*", "0-9/20", "0-8/10", "0-9/5", "x", "*/10", "9-0/10"])
    def test_a_range_that_cannot_be(self, server, bad):
        assert put(session(server), bad, b"0123456789").status_code == 400

    def test_a_size_that_changes(self, server):
        url = session(server)
        put(url, f"0-{UNIT - 1}/{2 * UNIT}", DATA[:UNIT])
        assert put(url, f"{UNIT}-{UNIT}/{UNIT + 1}", b"x").status_code == 400

    def test_after_its_end_the_object_is_told(self, server):
        url = session(server)
        first = put(url, "0-3/4", b"data").json()
        assert put(url, "0-3/4", b"data").json() == put(url, "*/*").json() == first

    def test_cancelling(self, server):
        url = session(server)
        assert requests.delete(url, timeout=5).status_code == 499
        assert put(url, "0-3/4", b"data").status_code == 410
        assert put(url + "x", "0-3/4", b"data").status_code == 404

    @pytest.mark.parametrize("kind", ["reset", "429", "503", "drop", "truncate", "slow"])
    @pytest.mark.parametrize("skip", [0, 1, 2])
    def test_survives_a_fault_at_a_chunk(self, server, bucket, kind, skip):
        fault = server.inject(Fault(kind, "chunk", skip=skip))
        upload(bucket)
        assert server.objects("bucket") == {"name": DATA}
        assert fault.hits == 1

    def test_part_of_a_chunk_survives_its_reset(self, server):
        url, size = session(server), 5 * UNIT
        server.inject(Fault("reset", "chunk"))
        with pytest.raises(requests.ConnectionError):
            put(url, f"0-{size - 1}/*", bytes(size))
        assert put(url, "*/*").headers["Range"] == f"bytes=0-{2 * UNIT - 1}"
        put(url, f"{2 * UNIT}-{size - 1}/{size}", bytes(3 * UNIT))
        assert server.objects("bucket") == {"name": bytes(size)}


class TestFaults:
    @pytest.fixture(autouse=True)
    def an_object(self, server):
        server.put("bucket", "there", DATA)

    def calls(self, bucket):
        """What each operation is to the client. None of them tries again."""
        blob, there = bucket.blob("new"), bucket.blob("there")
        return {
            "insert": lambda: blob.upload_from_string(DATA, retry=None),
            "start": lambda: blob.create_resumable_upload_session(retry=None),
            "chunk": lambda: upload(bucket, "new", retry=None),
            "get": lambda: there.reload(retry=None),
            "download": lambda: there.download_as_bytes(retry=None),
            "list": lambda: list(bucket.list_blobs(retry=None)),
            "delete": lambda: there.delete(retry=None),
            "bucket": lambda: bucket.reload(retry=None),
        }

    def test_the_client_takes_401_for_its_own_credentials(self, server, bucket):
        server.inject(Fault("401"))
        with pytest.raises(google.auth.exceptions.InvalidOperation):
            bucket.reload(retry=None)
        assert statuses(server) == [401]

    @pytest.mark.parametrize("status", [403, 404, 429, 500, 503])
    def test_an_error_instead_of_any_operation(self, server, bucket, status):
        for operation, call in self.calls(bucket).items():
            server.inject(Fault(str(status), operation))
            with pytest.raises(exceptions.GoogleAPICallError) as raised:
                call()
            assert raised.value.code == status
            assert (server.log[-1].operation, server.log[-1].status) == (operation, status)
        assert server.objects("bucket") == {"there": DATA}

    @pytest.mark.parametrize("kind", ["reset", "drop", "truncate"])
    def test_a_connection_that_ends_at_any_operation(self, server, bucket, kind):
        for operation, call in self.calls(bucket).items():
            server.inject(Fault(kind, operation))
            with pytest.raises(BROKEN):
                call()
            assert server.log[-1].operation == operation
        executed = {"new": DATA} if kind != "reset" else {"there": DATA}
        assert server.objects("bucket") == executed

    @pytest.mark.parametrize("kind", ["429", "500", "503", "reset", "drop", "truncate"])
    def test_a_download_is_tried_again(self, server, bucket, kind):
        fault = server.inject(Fault(kind, "download", times=3))
        assert bucket.blob("there").download_as_bytes(retry=RETRY) == DATA
        assert fault.hits == 3

    def test_a_download_goes_on_where_it_ended(self, server, bucket):
        server.inject(Fault("truncate", "download", times=3))
        assert bucket.blob("there").download_as_bytes(retry=RETRY) == DATA
        assert statuses(server) == [200, 206, 206, 206]

    def test_a_download_is_reset_after_its_head(self, server):
        server.inject(Fault("reset", "download"))
        response = get(server, "b/bucket/o/there?alt=media", stream=True)
        assert response.headers["Content-Length"] == str(len(DATA))
        with pytest.raises(BROKEN):
            _ = response.content

    def test_a_large_upload_is_reset_while_it_is_sent(self, server, bucket):
        fault = server.inject(Fault("reset", "insert", name="new", times=2))
        data = bytes(7 << 20)
        bucket.blob("new").upload_from_string(data, retry=RETRY)
        assert server.objects("bucket")["new"] == data
        assert fault.hits == 2

    def test_a_download_that_is_corrupt(self, server, bucket):
        server.inject(Fault("corrupt", "download"))
        with pytest.raises(DataCorruption):
            bucket.blob("there").download_as_bytes()
        assert bucket.blob("there").download_as_bytes() == DATA

    @pytest.mark.parametrize("call", [upload, lambda b, n: b.blob(n).upload_from_string(DATA)])
    def test_an_upload_that_is_corrupt(self, server, bucket, call):
        server.inject(Fault("corrupt"))
        with pytest.raises(exceptions.BadRequest):
            call(bucket, "new")
        assert "new" not in server.objects("bucket")

    def test_an_upload_that_is_corrupt_without_a_checksum(self, server, bucket):
        server.inject(Fault("corrupt", "insert"))
        bucket.blob("new").upload_from_string(b"data", checksum=None)
        assert server.objects("bucket")["new"] == b"daua"

    def test_a_creation_whose_answer_is_lost_looks_like_anothers(self, server, bucket):
        server.inject(Fault("drop", "insert"))
        with pytest.raises(exceptions.PreconditionFailed):
            bucket.blob("new").upload_from_string(b"data", if_generation_match=0, retry=RETRY)
        assert server.objects("bucket")["new"] == b"data"
        assert statuses(server) == [None, 412]

    def test_a_slow_answer_is_given_up_but_executed(self, server, bucket):
        server.inject(Fault("slow", "insert", seconds=60))
        with pytest.raises(requests.Timeout):
            bucket.blob("new").upload_from_string(b"data", timeout=0.1, retry=None)
        assert "new" in server.objects("bucket")

    def test_a_slow_download_stops_at_its_half(self, server):
        server.inject(Fault("slow", "download", seconds=60))
        response = get(server, "b/bucket/o/there?alt=media", stream=True)
        assert response.raw.read(len(DATA) // 2) == DATA[: len(DATA) // 2]
        response.close()

    def test_skip_and_times(self, server):
        fault = server.inject(Fault("503", "get", skip=1, times=2))
        found = [get(server, "b/bucket/o/there").status_code for _ in range(5)]
        assert found == [200, 503, 503, 200, 200]
        assert fault.hits == 2

    def test_names_choose(self, server):
        fault = server.inject(Fault("503", name=r"^th.*e$", times=math.inf))
        assert get(server, "b/bucket/o/there").status_code == 503
        assert get(server, "b/bucket/o/thereby").status_code == 404
        assert get(server, "b/bucket/o?prefix=there").status_code == 503
        server.clear()
        assert get(server, "b/bucket/o/there").status_code == 200
        assert fault.hits == 2

    def test_the_name_of_an_upload_is_known(self, server, bucket):
        fault = server.inject(Fault("503", name="^there$", times=math.inf))
        bucket.blob("new").upload_from_string(b"data")
        upload(bucket, "newer")
        assert fault.hits == 0
        with pytest.raises(exceptions.ServiceUnavailable):
            upload(bucket, "there", retry=None)

    def test_the_first_of_two_hits(self, server):
        server.inject(Fault("503"))
        server.inject(Fault("403"))
        found = [get(server, "b/bucket/o/there").status_code for _ in range(3)]
        assert found == [503, 403, 200]

    def test_choose(self, server):
        fault = Fault("429")
        server.choose = lambda operation, name: fault if (operation, name) == ("get", "x") else None
        assert [get(server, f"b/bucket/o/{name}").status_code for name in "xyx"] == [429, 404, 429]
        assert fault.hits == 2

    @pytest.mark.parametrize("wrong", [{"kind": "504"}, {"kind": "503", "operation": "put"}])
    def test_what_there_is_not(self, wrong):
        with pytest.raises(ValueError, match="one of"):
            Fault(**wrong)


class TestPause:
    def test_holds_a_request_until_its_release(self, server, bucket):
        fault = server.inject(Fault("pause", "insert"))
        with ThreadPoolExecutor() as pool:
            call = pool.submit(bucket.blob("name").upload_from_string, b"late")
            assert fault.reached.wait(5)
            server.put("bucket", "other", b"")  # the others go on
            assert get(server, "b/bucket/o/name").status_code == 404
            fault.release()
            call.result(5)
        assert server.objects("bucket")["name"] == b"late"

    def test_decides_who_is_first(self, server, bucket):
        fault = server.inject(Fault("pause", "insert"))
        with ThreadPoolExecutor() as pool:
            blob = bucket.blob("name")
            call = pool.submit(blob.upload_from_string, b"late", if_generation_match=0)
            assert fault.reached.wait(5)
            bucket.blob("name").upload_from_string(b"early", if_generation_match=0)
            server.clear()  # releases
            with pytest.raises(exceptions.PreconditionFailed):
                call.result(5)
        assert server.objects("bucket") == {"name": b"early"}

    def test_a_request_outlives_its_client(self, server, bucket):
        fault = server.inject(Fault("pause", "insert"))
        with pytest.raises(requests.Timeout):
            bucket.blob("name").upload_from_string(b"late", timeout=0.1, retry=None)
        assert server.objects("bucket") == {}
        fault.release()
        for _ in range(500):
            if server.log[0].status:
                break
            time.sleep(0.01)
        assert server.objects("bucket") == {"name": b"late"}

    def test_ends_with_the_server(self, monkeypatch):
        with GcsServer() as server, ThreadPoolExecutor() as pool:
            fault = server.inject(Fault("pause"))
            url = f"{server.url}/upload/storage/v1/b/bucket/o?uploadType=media&name=name"
            call = pool.submit(requests.post, url, data=b"data", timeout=5)
            assert fault.reached.wait(5)
            server.close()
            with pytest.raises(requests.ConnectionError):
                call.result(5)
            assert server.objects("bucket") == {}


def test_clients_that_go_away_are_no_news(server, capfd):
    for _ in range(3):
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=5)
        connection.putrequest("POST", "/upload/storage/v1/b/bucket/o?uploadType=media&name=name")
        connection.putheader("Content-Length", "1000")
        connection.endheaders(b"less")
        connection.close()
    assert get(server, "b/bucket").status_code == 200
    assert server.objects("bucket") == {}
    assert capfd.readouterr().err == ""


def test_serves_from_a_process_of_its_own():
    command = [sys.executable, "-m", "tests.fakes.gcs_server", "--port=0", "--bucket=mine"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            name, url = process.stdout.readline().split()[1].split("=", 1)
            assert name == "STORAGE_EMULATOR_HOST"
            response = requests.get(f"{url}/storage/v1/b/mine", timeout=5)
            assert json.loads(response.text)["name"] == "mine"
        finally:
            process.kill()
