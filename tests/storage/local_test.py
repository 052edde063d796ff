"""Run with `python -m pytest tests/storage/local_test.py`: local folders only."""

import pytest

from storage.errors import UserError
from storage.store import open_store
from tests.storage.uses import USES

WRITES = ("write", "create", "open_log", "upload")


def test_url_is_what_the_user_gave(tmp_path):
    assert open_store(str(tmp_path / "run")).url == str(tmp_path / "run")


@pytest.mark.parametrize("url", ["s3://bucket", "gs:/bucket/run", "GS://bucket/run"])
def test_unknown_kind_of_url_is_refused(url):
    with pytest.raises(UserError, match=rf"--workdir: got '{url}'.*local folder or gs://"):
        open_store(url)


def test_opening_a_folder_creates_nothing(tmp_path):
    store = open_store(str(tmp_path / "run"))
    assert not store.exists("a")
    assert store.list() == []
    assert not (tmp_path / "run").exists()


def test_workdir_that_is_a_file_is_refused(file):
    with pytest.raises(UserError, match=r"workdir: .*/file is a file; give a folder"):
        open_store(str(file))


def test_home_is_written_as_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    open_store("~/run").write("a", b"1")
    assert (tmp_path / "run" / "a").read_bytes() == b"1"


def test_relative_workdir_stays_the_same_when_the_process_moves(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = open_store("run")
    store.write("a", b"1")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert store.read("a") == b"1"


@pytest.mark.parametrize("use", WRITES)
def test_folder_that_can_not_be_made_is_a_user_error(file, tmp_path, use):
    blocked = tmp_path / "blocked"
    blocked.touch()
    store = open_store(str(blocked / "run"))  # below a file: fails for root as well
    with pytest.raises(UserError, match=r"workdir: .*/blocked/run/.*run the same command again"):
        USES[use](store, "a", file)


@pytest.mark.parametrize("use", WRITES)
def test_object_below_a_stray_file_is_a_user_error(tmp_path, file, use):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "claims").touch()
    with pytest.raises(UserError, match=r"workdir: .*/run/claims/1"):
        USES[use](open_store(str(tmp_path / "run")), "claims/1", file)


@pytest.mark.parametrize("use", WRITES)
def test_read_only_folder_is_a_user_error(tmp_path, file, use):
    folder = tmp_path / "run"
    folder.mkdir()
    folder.chmod(0o500)
    try:
        (folder / "probe").touch()
    except PermissionError:
        with pytest.raises(UserError, match=r"workdir: .*/run/.*run the same command again"):
            USES[use](open_store(str(folder)), "a", file)
    else:
        pytest.skip("this user may write into read-only folders")
