"""Run with `python -m pytest tests/fakes/gcs_objects_test.py`: objects, their preconditions."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from google.api_core import exceptions

from tests.fakes.gcs_requests import crc32c, get, operations, put, session, upload


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

    def test_only_the_live_generation_exists(self, server, bucket):
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

    def test_a_deleted_object_does_not_exist(self, server, bucket):
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

    def test_an_upload_of_the_data_only(self, server):
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
    def test_what_is_not_implemented_is_answered_with_501(self, server, path):
        assert get(server, path).status_code == 501
        assert operations(server) == ["unknown"]


class TestChecksums:
    @pytest.mark.parametrize("kind", ["crc32c", "md5"])
    def test_a_wrong_checksum_in_the_header(self, server, kind):
        url = f"{server.url}/upload/storage/v1/b/bucket/o?uploadType=media&name=name"
        headers = {"X-Goog-Hash": f"{kind}={crc32c(b'other')}"}
        response = requests.post(url, data=b"data", headers=headers, timeout=5)
        assert response.status_code == 400 and kind.upper() in response.text
        assert server.objects("bucket") == {}

    def test_a_right_checksum_in_the_header(self, server):
        url = f"{server.url}/upload/storage/v1/b/bucket/o?uploadType=media&name=name"
        headers = {"X-Goog-Hash": f"crc32c={crc32c(b'data')},md5=jXd/OF09/siBXSD3SWAm3A=="}
        assert requests.post(url, data=b"data", headers=headers, timeout=5).status_code == 200

    def test_a_wrong_checksum_in_the_metadata(self, server, bucket):
        blob = bucket.blob("name")
        blob.crc32c = crc32c(b"other")
        with pytest.raises(exceptions.BadRequest, match="CRC32C"):
            blob.upload_from_string(b"data", checksum=None)
        assert server.objects("bucket") == {}

    def test_a_wrong_checksum_at_the_start_of_a_session(self, server, bucket):
        with pytest.raises(exceptions.BadRequest, match="CRC32C"):
            upload(bucket, crc32c_checksum_value=crc32c(b"other"))
        assert server.objects("bucket") == {}

    def test_a_wrong_checksum_with_the_last_chunk(self, server):
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

    def test_only_one_of_many_clients_creates(self, server, bucket):
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

    def test_a_session_is_checked_at_its_end_too(self, server):
        url = session(server, ifGenerationMatch="0")
        server.put("bucket", "name", b"another's")
        assert put(url, "0-3/4", b"data").status_code == 412
        assert server.objects("bucket") == {"name": b"another's"}

    def test_a_precondition_that_is_not_a_number(self, server, generation):
        query = {"ifGenerationMatch": "x"}
        assert get(server, "b/bucket/o/name", params=query).status_code == 400
