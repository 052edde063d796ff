"""The project of a job, without a question to any service."""

import json
import socket

import pytest

from deploy.google_project import require_project
from deploy.targets.vertex.options import Options
from tests.deploy.examples import refusal


@pytest.fixture
def credentials_without_project(monkeypatch, tmp_path):
    """Credentials of a user that name no project; returns the folder that holds them."""
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    content = {"type": "authorized_user", "client_id": "a", "client_secret": "b"}
    file = tmp_path / "application_default_credentials.json"
    file.write_text(json.dumps({**content, "refresh_token": "c"}))
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_project_is_the_one_that_gcloud_is_set_to(credentials_without_project):
    stub = credentials_without_project / "gcloud"
    stub.write_text("#!/bin/sh\necho their-project\n")
    stub.chmod(0o755)
    assert require_project("") == "their-project"
    assert Options(region="us-central1").project == "their-project"


def test_project_that_nothing_names_is_asked_for(credentials_without_project):
    line = refusal(require_project, "")
    assert line.startswith("--project: not given, and neither GOOGLE_CLOUD_PROJECT nor")


def test_credentials_that_can_not_be_read_name_no_project(credentials_without_project, monkeypatch):
    folder = str(credentials_without_project)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", folder)
    assert refusal(require_project, "").startswith("--project: not given")


def test_no_metadata_server_is_asked_for_the_project(credentials_without_project, monkeypatch):
    """Checks that no request is sent: on another network that server may be anyone's, or silent."""
    (credentials_without_project / "application_default_credentials.json").unlink()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("GCE_METADATA_IP", "127.0.0.1")
        assert refusal(require_project, "").startswith("--project: not given")
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):
            silent.accept()
