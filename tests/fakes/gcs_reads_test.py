"""Run with `python -m pytest tests/fakes/gcs_reads_test.py`: downloads and lists."""

import contextlib
import http.client

import pytest
from google.api_core import exceptions

from tests.fakes.gcs_requests import get, operations


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

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ("items(name,size),nextPageToken", {"items": [{"name": "a/1", "size": "0"}]}),
            ("items/name,kind", {"kind": "storage#objects", "items": [{"name": "a/1"}]}),
            ("items(*)/name", None),
            ("items(name", None),
        ],
    )
    def test_fields(self, server, fields, expected):
        response = get(server, "b/bucket/o", params={"prefix": "a/1", "fields": fields})
        assert response.json() == expected if expected else response.status_code == 400

    def test_nothing(self, server):
        assert get(server, "b/other/o").json() == {"kind": "storage#objects"}
