"""Run with `python -m pytest tests/storage/local_test.py`.

What takes the fixture `store` holds for every store; the rest, at the end, for a local folder.
"""

import contextlib
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storage.errors import UserError
from storage.store import open_store

ROOT = Path(__file__).resolve().parents[2]
# Prints its scratch folder at a URL, with a file in it, and dies.
KILLED = """
import os, signal, sys
from storage.store import open_store
with open_store(sys.argv[1]).scratch() as folder:
    (folder / "file").write_bytes(b"1")
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
# Tries to create the names 0..19 in the store at a URL and prints those it won.
CREATOR = """
import sys
from storage.store import open_store
store = open_store(sys.argv[1])
for name in range(20):
    try:
        store.create(f"race/{name}", sys.argv[2].encode())
        print(name)
    except FileExistsError:
        pass
"""

USES = {
    "list": lambda store, name, path: store.list(name),
    "exists": lambda store, name, path: store.exists(name),
    "read": lambda store, name, path: store.read(name),
    "write": lambda store, name, path: store.write(name, b"x"),
    "create": lambda store, name, path: store.create(name, b"x"),
    "append": lambda store, name, path: store.append(name, b"x"),
    "upload": lambda store, name, path: store.upload(path, name),
    "download": lambda store, name, path: store.download(name, path),
    "delete": lambda store, name, path: store.delete(name),
    "local_folder": lambda store, name, path: store.local_folder(name),
}
WRITES = ("write", "create", "append", "upload")


@pytest.fixture
def file(tmp_path):
    """A local file that is not in the store."""
    path = tmp_path / "file"
    path.write_bytes(b"from a file")
    return path


@pytest.mark.parametrize("name", ["config.json", "checkpoints/20/manifest", "a/b/c/d"])
def test_write_is_read_back(store, name):
    store.write(name, b"\x00\xff\n")
    assert store.read(name) == b"\x00\xff\n"


def test_write_replaces_the_object(store):
    store.write("a", b"a long first version")
    store.write("a", b"")
    assert store.read("a") == b""


def test_another_opening_of_the_same_url_sees_the_object(store):
    store.write("a", b"1")
    assert open_store(store.url).read("a") == b"1"


def test_create_writes_a_new_object(store):
    store.create("folder/a", b"1")
    assert store.read("folder/a") == b"1"


def test_create_leaves_an_existing_object_as_it_is(store):
    store.write("a", b"1")
    with pytest.raises(FileExistsError):
        store.create("a", b"2")
    assert store.read("a") == b"1"


def test_append_makes_the_object_and_adds_to_it(store):
    store.append("log/metrics", b"one\n")
    store.append("log/metrics", b"two\n")
    assert store.read("log/metrics") == b"one\ntwo\n"


def test_append_adds_to_what_write_left(store):
    store.write("a", b"1")
    store.append("a", b"2")
    assert store.read("a") == b"12"


def test_upload_moves_the_file(store, file):
    store.upload(file, "folder/a")
    assert store.read("folder/a") == b"from a file"
    assert not file.exists()


def test_upload_replaces_the_object(store, file):
    store.write("a", b"1")
    store.upload(file, "a")
    assert store.read("a") == b"from a file"


def test_download_copies_the_object(store, tmp_path):
    store.write("folder/a", b"1")
    store.download("folder/a", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"1"
    assert store.exists("folder/a")


def test_delete_removes_the_object_and_no_other(store):
    store.write("folder/a", b"1")
    store.write("folder/b", b"2")
    store.delete("folder/a")
    assert store.list() == ["folder/b"]


def test_delete_of_nothing_does_nothing(store):
    store.delete("folder/a")
    assert store.list() == []


def test_store_works_on_after_its_last_object_is_deleted(store):
    store.write("a", b"1")
    store.delete("a")
    store.write("a", b"2")
    assert store.read("a") == b"2"


def test_exists_tells_objects_from_nothing_and_from_prefixes(store):
    store.write("folder/a", b"")
    assert store.exists("folder/a")
    assert not store.exists("folder")
    assert not store.exists("folder/b")


@pytest.mark.parametrize("name", ["a", "folder/a"])
def test_reading_a_missing_object_is_file_not_found(store, name):
    with pytest.raises(FileNotFoundError):
        store.read(name)


def test_downloading_a_missing_object_is_file_not_found(store, tmp_path):
    with pytest.raises(FileNotFoundError):
        store.download("a", tmp_path / "copy")


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("", ["a", "b/1", "b/10/x", "b/2", "ba"]),
        ("b", ["b/1", "b/10/x", "b/2", "ba"]),
        ("b/", ["b/1", "b/10/x", "b/2"]),
        ("b/1", ["b/1", "b/10/x"]),
        ("b/10/", ["b/10/x"]),
        ("c", []),
        ("c/d/", []),
    ],
)
def test_list_gives_the_names_with_a_prefix_sorted(store, prefix, expected):
    for name in ("b/2", "ba", "b/10/x", "a", "b/1"):
        store.write(name, b"")
    assert store.list(prefix) == expected


def test_a_fresh_store_is_empty(store):
    assert store.list() == []


def test_scratch_is_an_empty_folder_that_goes_away(store):
    with store.scratch() as folder:
        assert list(folder.iterdir()) == []
        (folder / "file").write_bytes(b"1")
    assert not folder.exists()


def test_scratch_goes_away_when_its_user_fails(store):
    with contextlib.suppress(KeyError), store.scratch() as folder:
        (folder / "file").write_bytes(b"1")
        raise KeyError
    assert not folder.exists()


def test_scratch_is_no_part_of_the_store(store):
    with store.scratch() as folder:
        (folder / "file").write_bytes(b"1")
        assert store.list() == []


def test_two_scratches_are_apart(store):
    with store.scratch() as one, store.scratch() as other:
        assert one != other


def test_a_file_from_scratch_can_be_uploaded(store):
    with store.scratch() as folder:
        (folder / "file").write_bytes(b"1")
        store.upload(folder / "file", "folder/a")
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


def test_sweeps_and_writes_beside_each_other_do_not_meet(store):
    def work(thread):
        for number in range(150):
            store.sweep()
            store.write(f"{thread}/{number}", b"1")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    assert len(store.list()) == 600


def test_sweep_leaves_objects_and_a_working_store(store):
    store.write("a", b"1")
    store.sweep()
    store.write("b", b"2")
    assert store.list() == ["a", "b"]


@pytest.mark.parametrize("name", ["../a", "a/../../b", "a/..", "/a"])
@pytest.mark.parametrize("use", USES)
def test_name_that_leads_out_of_the_store_is_refused(store, file, use, name):
    with pytest.raises(ValueError, match=r"relative name without '\.\.'"):
        USES[use](store, name, file)


def test_name_with_dots_that_lead_nowhere_is_accepted(store):
    store.write("a..b/..c", b"1")
    assert store.list() == ["a..b/..c"]


def test_of_many_threads_that_create_a_name_one_wins(store):
    threads = 8
    start = threading.Barrier(threads)

    def create(thread):
        start.wait()
        try:
            store.create("a", str(thread).encode())
        except FileExistsError:
            return None
        return thread

    with ThreadPoolExecutor(threads) as pool:
        winners = [thread for thread in pool.map(create, range(threads)) if thread is not None]
    assert len(winners) == 1
    assert store.read("a") == str(winners[0]).encode()


def test_of_many_processes_that_create_a_name_one_wins(store):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CREATOR, store.url, number],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for number in "0123"
    ]
    won = {number: process.communicate()[0].split() for number, process in enumerate(processes)}
    assert sorted(name for names in won.values() for name in names) == sorted(map(str, range(20)))
    for number, names in won.items():
        assert all(store.read(f"race/{name}") == str(number).encode() for name in names)


def test_readers_see_an_object_whole(store):
    versions = [letter * 100_000 for letter in (b"a", b"b")]
    store.write("a", versions[0])
    done = threading.Event()

    def write():
        for turn in range(20):
            store.write("a", versions[turn % 2])
        done.set()

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write)
        while not done.is_set() and not writer.done():
            assert store.read("a") in versions
        writer.result()


def test_url_is_what_the_user_gave(tmp_path):
    assert open_store(str(tmp_path / "run")).url == str(tmp_path / "run")


def test_unknown_kind_of_url_is_refused():
    with pytest.raises(UserError, match=r"workdir: got 's3://bucket'.*local folder"):
        open_store("s3://bucket")


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


def test_files_put_into_the_local_folder_are_objects(tmp_path):
    store = open_store(str(tmp_path / "run"))
    store.local_folder("tensorboard").mkdir(parents=True)
    (store.local_folder("tensorboard") / "events").write_bytes(b"1")
    assert store.read("tensorboard/events") == b"1"


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
