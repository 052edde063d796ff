"""Fixtures for the tests of the Cloud Storage fake: a server, and its bucket by the real client."""

import contextlib

import pytest
from google.cloud import storage

from tests.fakes.gcs_server import GcsServer


@pytest.fixture
def server():
    with GcsServer(buckets=("bucket", "other"), page_size=3) as server:
        yield server


@pytest.fixture
def bucket(server, monkeypatch):
    """The bucket through the real client."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
    # Without this a thread of the client requests the bucket too, at any time.
    monkeypatch.setenv("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
    with contextlib.closing(storage.Client(project=None)) as client:
        yield client.bucket("bucket")
