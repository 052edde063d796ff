"""Run with `python -m pytest tests/fakes/gcs_faults_test.py`: faults."""

import math
import time
from concurrent.futures import ThreadPoolExecutor

import google.auth.exceptions
import pytest
import requests
from google.api_core import exceptions
from google.cloud.storage.exceptions import DataCorruption

from tests.fakes.gcs_faults import Fault
from tests.fakes.gcs_requests import DATA, RETRY, get, statuses, upload
from tests.fakes.gcs_server import GcsServer

BROKEN = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)


class TestFaults:
    @pytest.fixture(autouse=True)
    def an_object(self, server):
        server.put("bucket", "there", DATA)

    def calls(self, bucket):
        """Returns a call of the client for each operation, without retries."""
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
    def test_a_download_is_retried(self, server, bucket, kind):
        fault = server.inject(Fault(kind, "download", times=3))
        assert bucket.blob("there").download_as_bytes(retry=RETRY) == DATA
        assert fault.hits == 3

    def test_a_download_resumes_where_it_ended(self, server, bucket):
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

    def test_a_resumed_download_that_is_corrupt_passes_the_client(self, server, bucket):
        server.inject(Fault("truncate", "download"))
        server.inject(Fault("corrupt", "download"))
        data = bucket.blob("there").download_as_bytes(retry=RETRY)
        assert statuses(server) == [200, 206]
        assert len(data) == len(DATA)
        assert data != DATA

    def test_several_faults_in_one_answer(self, server):
        server.inject(Fault("slow+corrupt+truncate", "download", seconds=0.01))
        response = get(server, "b/bucket/o/there?alt=media", stream=True)
        with pytest.raises(BROKEN):
            _ = response.content

    @pytest.mark.parametrize("body", [b"", b"null", b"[1]", b"<p>Bad Gateway</p>"])
    def test_an_error_with_another_body(self, server, body):
        server.inject(Fault("503", body=body))
        response = get(server, "b/bucket")
        assert (response.status_code, response.content) == (503, body)

    def test_a_wrong_checksum_with_another_status(self, server, bucket):
        server.content.wrong_checksum = 412
        server.inject(Fault("corrupt"))
        with pytest.raises(exceptions.PreconditionFailed, match="doesn't match calculated"):
            bucket.blob("new").upload_from_string(DATA)

    def test_an_upload_that_is_corrupt_without_a_checksum(self, server, bucket):
        server.inject(Fault("corrupt", "insert"))
        bucket.blob("new").upload_from_string(b"data", checksum=None)
        assert server.objects("bucket")["new"] == b"daua"

    def test_a_creation_whose_answer_is_lost_fails_its_precondition(self, server, bucket):
        server.inject(Fault("drop", "insert"))
        with pytest.raises(exceptions.PreconditionFailed):
            bucket.blob("new").upload_from_string(b"data", if_generation_match=0, retry=RETRY)
        assert server.objects("bucket")["new"] == b"data"
        assert statuses(server) == [None, 412]

    def test_a_slow_answer_times_out_but_is_executed(self, server, bucket):
        server.inject(Fault("slow", "insert", seconds=60))
        with pytest.raises(requests.Timeout):
            bucket.blob("new").upload_from_string(b"data", timeout=0.1, retry=None)
        assert "new" in server.objects("bucket")

    def test_a_slow_download_pauses_at_its_half(self, server):
        server.inject(Fault("slow", "download", seconds=60))
        response = get(server, "b/bucket/o/there?alt=media", stream=True)
        assert response.raw.read(len(DATA) // 2) == DATA[: len(DATA) // 2]
        response.close()

    def test_skip_and_times(self, server):
        fault = server.inject(Fault("503", "get", skip=1, times=2))
        found = [get(server, "b/bucket/o/there").status_code for _ in range(5)]
        assert found == [200, 503, 503, 200, 200]
        assert fault.hits == 2

    def test_a_fault_hits_names_with_its_pattern(self, server):
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

    def test_the_first_of_two_faults_hits(self, server):
        server.inject(Fault("503"))
        server.inject(Fault("403"))
        found = [get(server, "b/bucket/o/there").status_code for _ in range(3)]
        assert found == [503, 403, 200]

    def test_the_server_may_choose_a_fault(self, server):
        fault = Fault("429")
        server.choose = lambda operation, name: fault if (operation, name) == ("get", "x") else None
        assert [get(server, f"b/bucket/o/{name}").status_code for name in "xyx"] == [429, 404, 429]
        assert fault.hits == 2

    @pytest.mark.parametrize("wrong", [{"kind": "504"}, {"kind": "503", "operation": "put"}])
    def test_an_unknown_kind_or_operation(self, wrong):
        with pytest.raises(ValueError, match="one of"):
            Fault(**wrong)


class TestPause:
    def test_holds_a_request_until_its_release(self, server, bucket):
        fault = server.inject(Fault("pause", "insert"))
        with ThreadPoolExecutor() as pool:
            call = pool.submit(bucket.blob("name").upload_from_string, b"late")
            assert fault.reached.wait(5)
            server.put("bucket", "other", b"")  # other requests are served
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
