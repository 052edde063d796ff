"""Archives of a copy of this tree, built and uploaded to the bucket of the tests."""

import errno
import json
import os
import re
import shutil
import tarfile
from pathlib import Path

import pytest

from deploy import package
from deploy.payload import bootstrap
from storage.errors import UserError
from tests.deploy.examples import REPOSITORY

BUILD_FILES = ("setup.py", "pyproject.toml", "README.md")
PACKAGES = {"configs", "deploy", "input_pipeline", "storage", "trainer"}
CONFIG = "from configs import default\n\n\ndef get_config():\n    return default.get_config()\n"


@pytest.fixture
def tree(tmp_path) -> Path:
    """A copy of the product's tree, for the test to change."""
    root = tmp_path / "tree"
    root.mkdir()
    for name in BUILD_FILES:
        shutil.copy(REPOSITORY / name, root / name)
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, root / name, ignore=ignored)
    return root


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def contents(path: Path) -> dict[str, bytes]:
    """Returns the bytes of each file by its path below the archive's one folder."""
    with tarfile.open(path) as archive:
        return {
            member.name.partition("/")[2]: archive.extractfile(member).read()
            for member in archive.getmembers()
            if member.isfile()
        }


def refusal(root: Path, extra_config: Path | None = None) -> str:
    with pytest.raises(UserError) as raised:
        package.build(root, extra_config)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_same_tree_gives_the_same_name_and_is_not_changed(tree):
    write(tree / "notes" / "own.txt", "mine")
    before = {path: path.stat().st_mtime_ns for path in tree.rglob("*")}
    one, other = package.build(tree), package.build(tree)
    assert {path: path.stat().st_mtime_ns for path in tree.rglob("*")} == before
    assert (one.digest, one.name) == (other.digest, other.name)
    assert re.fullmatch(r"longhaul-\d+\.\d+\.\d+-[0-9a-f]{16}\.tar\.gz", one.name)
    assert one.digest.startswith(one.name[-23:-7])
    assert one.digest == bootstrap.content_digest(one.path)


def test_archive_has_the_current_packages_and_nothing_else(tree):
    write(tree / "trainer" / "main.py", "CHANGED = True\n")
    write(tree / "trainer" / "new.py", "")
    write(tree / "deploy" / "payload" / "new.sh", "")
    for name in ("tests/__init__.py", "runs/a/metrics.jsonl", "notes.txt", "trainer/cache.bin"):
        write(tree / name, "not sent")
    found = contents(package.build(tree).path)
    assert found["trainer/main.py"] == b"CHANGED = True\n"
    assert found.keys() >= {
        "trainer/new.py",
        "deploy/payload/new.sh",
        "deploy/payload/Dockerfile",
        "README.md",
    }
    assert {name.split("/")[0] for name in found if "/" in name} == PACKAGES | {"longhaul.egg-info"}
    assert b"not sent" not in found.values()


def test_any_change_gives_another_digest(tree):
    before = package.build(tree)
    write(tree / "configs" / "sample.py", CONFIG)
    assert package.build(tree).digest != before.digest


@pytest.mark.parametrize(
    "name",
    [
        "server.pem", "configs/my.KEY", "trainer/a.p12", ".env", "deploy/prod.env", ".env.local",
        "id_rsa", "keys/id_ed25519", "credentials.json", "service-account-1.json", ".netrc",
        "runs/application_default_credentials.json", "service_account.json", ".ssh/id_rsa.old",
    ],
)  # fmt: skip
def test_file_named_as_a_credential_is_refused(tree, name):
    write(tree / name, "")
    assert re.match(f"'{re.escape(name)}': .*move it out of the tree", refusal(tree))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("data.json", json.dumps({"private_key": "x"})),
        ("a/data.json", json.dumps({"a": [1], "refresh_token": "x"})),
        ("data.JSON", json.dumps({"type": "service_account"}, indent=4)),
        ("notes.txt", f"-----BEGIN {'RSA'} PRIVATE KEY-----\nx"),
        ("configs/mine.py", f"KEY = '''-----BEGIN {'PRIVATE'} KEY-----'''"),
    ],
)
def test_file_that_holds_a_credential_is_refused(tree, name, text):
    write(tree / name, text)
    assert re.match(f"'{re.escape(name)}': .*move it out of the tree", refusal(tree))


def test_name_of_a_refused_file_is_shown_in_one_line(tree):
    write(tree / "a\nb.pem", "")
    assert r"'a\nb.pem'" in refusal(tree)


def test_files_of_tools_in_the_tree_are_not_refused(tree):
    write(tree / "environment" / "pyvenv.cfg", "")
    write(tree / "environment" / "lib" / "cacert.pem", "")
    write(tree / ".git" / "id_rsa", "")
    write(tree / "data.json", '{"type": "account", "keys": ["private_key"]}')
    assert package.build(tree).digest


def test_this_tree_is_not_refused():
    assert package.build(REPOSITORY).name


def test_config_from_outside_the_tree_is_included(tree, tmp_path):
    config = write(tmp_path / "my_config.py", CONFIG)
    assert contents(package.build(tree, config).path)["configs/my_config.py"] == CONFIG.encode()
    assert not (tree / "configs" / "my_config.py").exists()


def test_config_of_the_tree_may_be_given_too(tree):
    assert package.build(tree, tree / "configs" / "imdb.py").digest == package.build(tree).digest


@pytest.mark.parametrize("name", ["imdb.py", "default.py", "__init__.py"])
def test_config_whose_name_is_taken_is_refused(tree, tmp_path, name):
    assert "rename yours" in refusal(tree, write(tmp_path / name, CONFIG))


@pytest.mark.parametrize("name", ["my-config.py", "1.py", "A.py", "a.json", "a.py\n", "é.py", "a"])
def test_config_that_is_no_module_is_refused(tree, tmp_path, name):
    assert refusal(tree, write(tmp_path / name, CONFIG)).startswith("--config: got ")


def test_config_with_a_key_in_it_is_refused(tree, tmp_path):
    config = write(tmp_path / "mine.py", f"KEY = '''-----BEGIN {'PRIVATE'} KEY-----'''")
    assert "holds a key or token" in refusal(tree, config)


def test_other_folder_is_refused(tree, tmp_path):
    assert "not a checkout of longhaul" in refusal(tmp_path)
    write(tree / "setup.py", "from setuptools import setup\n\nsetup(name='other')\n")
    assert "not a checkout of longhaul" in refusal(tree)


def test_tree_that_does_not_build_is_refused_in_one_line(tree):
    write(tree / "pyproject.toml", '[project]\nname = "longhaul"\n')
    assert "can't be built" in refusal(tree)


def test_archive_is_uploaded_once_whichever_build_of_the_tree_it_is(tree, tmp_path, cloud):
    url = f"gs://bucket/{tmp_path.name}/packages"
    archive, start = package.build(tree), len(cloud.log)
    assert package.upload(archive, url) == package.address(archive, url) == f"{url}/{archive.name}"
    other = archive._replace(path=tmp_path / "other")
    other.path.write_bytes(archive.path.read_bytes() + b"\0")
    assert package.upload(other, url + "/") == f"{url}/{archive.name}"
    uploads = [request for request in cloud.log[start:] if request.operation == "insert"]
    assert [(request.name, request.status) for request in uploads] == [(uploads[0].name, 200)]
    stored = cloud.objects("bucket")[f"{tmp_path.name}/packages/{archive.name}"]
    assert stored == archive.path.read_bytes()


def test_archive_that_another_uploads_meanwhile_is_kept(tmp_path, cloud):
    archive = package.Archive(write(tmp_path / "archive", "ours"), "0" * 64, "longhaul.tar.gz")
    name = f"{tmp_path.name}/packages/{archive.name}"

    def upload_another_first(operation, _):
        if operation == "insert":
            cloud.put("bucket", name, b"theirs")

    cloud.choose = upload_another_first
    try:
        assert package.upload(archive, f"gs://bucket/{tmp_path.name}/packages")
    finally:
        cloud.choose = None
    assert cloud.objects("bucket")[name] == b"theirs"


@pytest.mark.parametrize("url", ["runs/packages", "gs://none/packages", "gs://bucket"])
def test_url_that_nothing_can_be_uploaded_to_is_refused(tmp_path, cloud, url, monkeypatch):
    monkeypatch.chdir(tmp_path)
    archive = package.Archive(write(tmp_path / "archive", ""), "0" * 64, "longhaul.tar.gz")
    with pytest.raises(UserError, match=f"^--workdir: .*{url}"):
        package.upload(archive, url)
    assert not (tmp_path / "runs").exists()


def test_names_in_the_archive_are_listed_by_folder():
    lines = package.files(package.build(REPOSITORY))
    assert any(line.startswith("configs: __init__.py default.py ") for line in lines)
    assert any(line.startswith("deploy/payload: Dockerfile __init__.py ") for line in lines)


def test_full_disk_is_one_line(monkeypatch, tmp_path):
    def fail(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "x"))

    monkeypatch.setattr(shutil, "copyfile", fail)
    assert "No space left on device; free space there" in refusal(REPOSITORY)
