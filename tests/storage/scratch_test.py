"""Run with `python -m pytest tests/storage/scratch_test.py`: folders for files to upload."""

import contextlib
import subprocess
import sys
from pathlib import Path

from storage.checksum import of_file as crc32c

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
    assert not left.exists()


def test_sweep_leaves_objects_and_a_working_store(store):
    store.write("a", b"1")
    store.sweep()
    store.write("b", b"2")
    assert store.list() == ["a", "b"]
