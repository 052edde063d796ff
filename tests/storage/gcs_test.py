"""Run with `python -m pytest tests/storage/gcs_test.py`: buckets only."""

import json
import math
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client

from storage.errors import UserError
from storage.store import open_store, probe
from tests.fakes.gcs_faults import Fault
from tests.fakes.gcs_server import GcsServer


@pytest.fixture
def url(tmp_path):
    return f"gs://bucket/{tmp_path.name}"


@pytest.fixture(autouse=True)
def faultless(cloud):
    yield
    cloud.clear()


def one_line(error):
    return "\n" not in str(error.value)


@pytest.mark.parametrize(
    "bucket",
    ["", "ab", "Bucket", "-bucket", "bucket-", "buc ket", "a" * 64, "b..c", "b/../c", "bucket\n"],
)
def test_bucket_without_a_valid_name_is_refused(bucket):
    with pytest.raises(UserError, match=r"--workdir: got 'gs://.*whose bucket .*3 to 63"):
        open_store(f"gs://{bucket.partition('/')[0]}/run")


@pytest.mark.parametrize("bucket", ["my-bucket_1", "bucket.example.com", "123"])
def test_bucket_with_a_valid_name_is_requested(bucket):
    with pytest.raises(UserError, match="there is no bucket"):
        open_store(f"gs://{bucket}/run")


@pytest.mark.parametrize("name", ["", "a//b", "a/../b", ".", "a/./b", "run*", "a\nb", "x" * 901])
def test_prefix_without_a_valid_name_is_refused(name):
    with pytest.raises(UserError, match=r"--workdir: got 'gs://bucket.*after the bucket give a"):
        open_store(f"gs://bucket/{name}")


def test_slash_at_the_end_changes_nothing(url, cloud):
    open_store(url).write("a", b"1")
    assert open_store(f"{url}/").read("a") == b"1"


def test_missing_bucket_is_a_user_error(cloud):
    with pytest.raises(UserError, match=r"--workdir: gs://missing/run: there is no bucket missing"):
        open_store("gs://missing/run")


def test_message_names_the_field_that_gave_the_url(cloud):
    with pytest.raises(UserError, match=r"^config\.checkpoint\.init_from: gs://missing/run: "):
        open_store("gs://missing/run", "config.checkpoint.init_from")


@pytest.mark.parametrize("file", [None, "nowhere.json", "{}"])
def test_missing_or_broken_credentials_are_a_user_error(tmp_path, monkeypatch, file):
    for name in ("STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    # Nor may there be credentials of gcloud or of a virtual machine.
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    if file:
        path = tmp_path / "credentials.json"
        if file == "{}":
            path.write_text(file)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    message = r"file in GOOGLE_\w+ can't be used" if file else r"no credentials .*gcloud auth"
    with pytest.raises(UserError, match=message) as error:
        open_store("gs://bucket/run")
    assert one_line(error)


class RefusingTokens(BaseHTTPRequestHandler):
    """Grants no token, like the server for a key that was deleted."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = b'{"error": "invalid_grant", "error_description": "Invalid JWT Signature."}'
        self.send_response(400)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def test_refused_key_of_a_service_account_is_a_user_error(tmp_path, monkeypatch):
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with HTTPServer(("127.0.0.1", 0), RefusingTokens) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        account = {
            "type": "service_account",
            "client_email": "trainer@example.iam.gserviceaccount.com",
            "token_uri": f"http://127.0.0.1:{server.server_port}",
            "private_key": pem.decode(),
        }
        (tmp_path / "key.json").write_text(json.dumps(account))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
        with pytest.raises(UserError, match=r"not accepted \(.*Invalid JWT Signature") as error:
            open_store("gs://bucket/run")
        server.shutdown()
    assert one_line(error)
    assert "PRIVATE KEY" not in str(error.value)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("401", "no credentials for Google Cloud"),  # requests to an emulator carry none
        ("403", r"not permitted \(.*\); grant the account the role roles/storage.objectUser"),
        ("404", "there is no bucket bucket"),
        ("429", r"no good answer for 1 s \([^()]*\); run the same command again"),
        ("503", r"no good answer for 1 s \([^()]*\); run the same command again"),
        ("reset", r"no good answer for 1 s \([^()]*\); run the same command again"),
    ],
)
def test_store_that_can_not_be_read_or_written_is_one_line(cloud, url, kind, message):
    store = open_store(url, retry_seconds=1.0)
    cloud.inject(Fault(kind, times=math.inf))
    with pytest.raises(UserError, match=message) as error:
        store.write("a", b"1")
    assert one_line(error)
    with pytest.raises(UserError, match=message):
        open_store(url, retry_seconds=1.0)


@pytest.mark.parametrize("operation", ["insert", "delete"])
def test_probe_finds_what_is_not_permitted(cloud, url, operation):
    store = open_store(url)
    cloud.inject(Fault("403", operation=operation, times=math.inf))
    with pytest.raises(UserError, match="objectUser"):
        probe(store)


def test_address_without_a_server_gives_the_systems_message(monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"no good answer for 1 s \(Connection refused\)"):
        open_store("gs://bucket/run", retry_seconds=1.0)


def test_emulator_without_a_scheme_is_refused(monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "127.0.0.1:9023")
    with pytest.raises(UserError, match=r"STORAGE_EMULATOR_HOST: got '127.0.0.1:9023'"):
        open_store("gs://bucket/run")


@pytest.mark.parametrize(
    ("name", "kind"),
    [("report.html", "text/html"), ("metrics.jsonl", "application/octet-stream")],
)
def test_page_is_stored_as_one_that_a_browser_shows(url, name, kind):
    open_store(url).write(name, b"x")
    client = Client(project="project", credentials=AnonymousCredentials())
    stored = client.bucket("bucket").get_blob(f"{url.removeprefix('gs://bucket/')}/{name}")
    assert stored.content_type == kind


def test_list_goes_over_pages(monkeypatch):
    with GcsServer(buckets=("bucket",), page_size=3) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        store = open_store("gs://bucket/run")
        for number in range(7):
            store.write(f"a/{number}", b"")
        assert store.list("a/") == [f"a/{number}" for number in range(7)]


def test_log_continues_after_an_outage(cloud, url, caplog):
    store = open_store(url, retry_seconds=1.0)
    log = store.open_log("log", b"1", lambda: None)
    outage = cloud.inject(Fault("503", operation="insert", name="log", times=math.inf))
    log.append(b"2")
    while "still retrying" not in caplog.text:
        assert outage.hits < 1000
    cloud.clear()
    log.append(b"3")
    log.close()
    assert store.read("log") == b"123"


def test_log_that_could_not_be_stored_raises_when_closed(cloud, url):
    store = open_store(url, retry_seconds=1.0)
    log = store.open_log("log", b"1", lambda: None)
    cloud.inject(Fault("503", operation="insert", name="log", times=math.inf))
    log.append(b"2")
    with pytest.raises(UserError, match="no good answer"):
        log.close()


@pytest.mark.parametrize("kind", ["429", "reset", "truncate", "corrupt", "drop", "slow"])
def test_transient_fault_in_a_read_changes_nothing(cloud, url, kind):
    store = open_store(url)
    store.write("a", bytes(100_000))
    cloud.inject(Fault(kind, operation="download", seconds=0.05))
    assert store.read("a") == bytes(100_000)
