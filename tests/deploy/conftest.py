"""The project and the bucket that tests of jobs use."""

import pytest


@pytest.fixture
def environment(monkeypatch, cloud):
    """Sets the project, and the bucket on this machine, for this process and its children."""
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "some-project")


@pytest.fixture
def project(monkeypatch):
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "some-project")
