"""The project, the bucket and the user's folders that tests of jobs use."""

import pytest


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path_factory):
    """Gives the settings and the records of jobs a folder of the test's own."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    return folder


@pytest.fixture
def environment(monkeypatch, cloud):
    """Sets the project, and the bucket on this machine, for this process and its children."""
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "some-project")


@pytest.fixture
def project(monkeypatch):
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "some-project")
