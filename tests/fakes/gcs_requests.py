"""Requests to the Cloud Storage fake for its tests, with the real client and without it."""

import base64
import io

import google_crc32c
import requests
from google.cloud.storage.retry import DEFAULT_RETRY

RETRY = DEFAULT_RETRY.with_delay(initial=0.01, maximum=0.1).with_timeout(10)
UNIT = 256 << 10
# The bytes vary without being random, and are not a whole number of chunks.
DATA = bytes(range(251)) * 4200
assert 4 * UNIT < len(DATA) < 5 * UNIT


def crc32c(data):
    return base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()


def operations(server):
    return [request.operation for request in server.log]


def statuses(server):
    return [request.status for request in server.log]


def upload(bucket, name="name", data=DATA, **options):
    """Uploads in chunks of 512 KiB."""
    blob = bucket.blob(name, chunk_size=2 * UNIT)
    # Without a size the client never uploads in one request.
    blob.upload_from_file(io.BytesIO(data), **{"retry": RETRY, **options})
    return blob


def session(server, **query):
    """Starts an upload session without the client, and returns its URL."""
    query = {"uploadType": "resumable", "name": "name", **query}
    response = requests.post(f"{server.url}/upload/storage/v1/b/bucket/o", params=query, timeout=5)
    assert response.status_code == 200
    return response.headers["Location"]


def put(url, content_range, data=b"", **headers):
    headers = {"Content-Range": f"bytes {content_range}", **headers}
    return requests.put(url, data=data, headers=headers, timeout=5)


def get(server, path, **options):
    return requests.get(f"{server.url}/storage/v1/{path}", timeout=5, **options)
