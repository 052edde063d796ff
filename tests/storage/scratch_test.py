"""Run with `python -m pytest tests/storage/scratch_test.py`: folders for files to upload."""

import contextlib
import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from storage import scratch
from storage.checksum import of_file as crc32c
from storage.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
# Prints its scratch folder at a URL, with a file in it, and is killed.
KILLED = """
import os, signal, sys
from storage.store import open_store
with open_store(sys.argv[1]).scratch() as folder:
    (folder / "file").write_bytes(b"1")
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_scratch_is_an_empty_folder_that_is_deleted(store):
    with store.scratch() as folder:
        assert list(folder.iterdir()) == []
        (folder / "file").write_bytes(b"1")
    assert not folder.exists()


def test_scratch_is_deleted_after_an_exception(store):
    with contextlib.suppress(KeyError), store.scratch() as folder:
        (folder / "file").write_bytes(b"1")
        raise KeyError
    assert not folder.exists()


def test_scratch_is_not_part_of_the_store(store):
    with store.scratch() as folder:
        (folder / "file").write_bytes(b"1")
        assert store.list() == []


def test_two_scratch_folders_differ(store):
    with store.scratch() as one, store.scratch() as other:
        assert one != other


def test_file_from_scratch_can_be_uploaded(store):
    with store.scratch() as folder:
        (folder / "file").write_bytes(b"1")
        store.upload(folder / "file", "folder/a", crc32c(folder / "file"))
    assert store.read("folder/a") == b"1"


def test_sweep_removes_what_a_killed_process_left_and_nothing_else(store):
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, store.url], cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    left = Path(killed.stdout.strip())
    assert (left / "file").exists()
    with store.scratch() as mine:
        store.sweep()
        assert mine.exists()
    for path in (left, mine):
        assert not list(path.parent.glob(f"{path.name}*"))


def test_sweep_leaves_the_folder_of_a_running_process_of_an_earlier_version(tmpdir):
    folder = tmpdir / "mine"
    folder.mkdir()
    lock = os.open(folder, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    scratch.sweep(tmpdir)
    assert folder.exists()
    os.close(lock)
    scratch.sweep(tmpdir)
    assert not folder.exists()


def test_sweep_leaves_objects_and_a_working_store(store):
    store.write("a", b"1")
    store.sweep()
    store.write("b", b"2")
    assert store.list() == ["a", "b"]


@pytest.fixture
def tmpdir(tmp_path, monkeypatch):
    """A folder that TMPDIR names."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("way", ["file", "dangling link", "circular link", "link to a folder"])
def test_anything_but_a_folder_in_tmpdir_is_a_user_error(tmpdir, way):
    path = tmpdir / f"longhaul-{os.geteuid()}"
    (tmpdir / "mine" / "keep").mkdir(parents=True)
    if way == "file":
        path.touch()
    else:
        path.symlink_to({"d": "nowhere", "c": path.name, "l": "mine"}[way[0]])
    for use in (scratch.sweep_temporary, scratch.temporary().__enter__):
        with pytest.raises(
            UserError, match=rf"^TMPDIR: {path}: .* or set TMPDIR to another folder"
        ):
            use()
    assert (tmpdir / "mine" / "keep").exists()


@pytest.mark.parametrize("name", ["a[b]c", "a\\c", "a\udcff"])
def test_tmpdir_from_which_tensorflow_can_not_read_is_refused(monkeypatch, name):
    monkeypatch.setattr(tempfile, "tempdir", name)
    with pytest.raises(UserError, match=r"^TMPDIR: got '.*; set TMPDIR to another folder"):
        scratch.sweep_temporary()


def test_tmpdir_that_does_not_exist_is_a_user_error(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"^TMPDIR: .*/none/.*: No such file or directory; bring"):
        scratch.sweep_temporary()


def test_full_tmpdir_is_named(store, tmpdir, limit_file_size):
    store.write("a", bytes(10_000))
    with scratch.temporary() as folder:
        limit_file_size(1000)
        with pytest.raises(UserError, match=rf"^TMPDIR: {tmpdir}.*: File too large; .* set TMPDIR"):
            store.download("a", folder / "a")


def test_scratch_that_gets_full_is_a_user_error(store, limit_file_size):
    limit_file_size(1000)
    with (
        pytest.raises(UserError, match=r"^(TMPDIR|--workdir): .*large; "),
        store.scratch() as folder,
    ):
        (folder / "file").write_bytes(bytes(10_000))


def test_sweep_removes_folders_only(tmpdir):
    (tmpdir / "left").mkdir()
    (tmpdir / "file").touch()
    (tmpdir / "link").symlink_to("link")
    scratch.sweep(tmpdir)
    assert sorted(path.name for path in tmpdir.iterdir()) == ["file", "link"]
