"""Run with `python -m pytest tests/fakes/gcs_server_test.py`: connections and the command."""

import http.client
import json
import subprocess
import sys
from pathlib import Path

import requests

from tests.fakes.gcs_requests import get


def test_disconnected_clients_leave_no_traceback(server, capfd):
    for _ in range(3):
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=5)
        connection.putrequest("POST", "/upload/storage/v1/b/bucket/o?uploadType=media&name=name")
        connection.putheader("Content-Length", "1000")
        connection.endheaders(b"less")
        connection.close()
    assert get(server, "b/bucket").status_code == 200
    assert server.objects("bucket") == {}
    assert capfd.readouterr().err == ""


def test_runs_as_a_command():
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
