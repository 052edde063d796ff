"""Run with `python -m pytest tests/storage/store_test.py`: what holds for every store."""

import contextlib
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storage import claims as claims_module
from storage.checksum import of_file as crc32c
from storage.errors import Superseded
from storage.store import open_store, probe

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
    "open_log": lambda store, name, path: store.open_log(name, b"x", lambda: None),
    "upload": lambda store, name, path: store.upload(path, name, crc32c(path)),
    "download": lambda store, name, path: store.download(name, path),
    "delete": lambda store, name, path: store.delete(name),
}


def superseded():
    raise Superseded("by a newer process")


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


def test_create_of_the_same_bytes_is_taken_for_its_own(store):
    store.create("a", b"1")
    store.create("a", b"1")
    assert store.read("a") == b"1"


def test_write_asks_whether_it_still_may(store):
    store.write("a", b"1", lambda: None)
    with pytest.raises(Superseded):
        store.write("a", b"2", superseded)
    assert store.read("a") == b"1"


def test_log_replaces_the_object_and_adds_to_it(store):
    store.write("log/metrics", b"of an earlier start")
    log = store.open_log("log/metrics", b"one\n", lambda: None)
    assert store.read("log/metrics") == b"one\n"
    log.append(b"two\n")
    log.append(b"three\n")
    log.close()
    assert store.read("log/metrics") == b"one\ntwo\nthree\n"


def test_log_is_not_opened_by_a_superseded_process(store):
    store.write("a", b"1")
    with pytest.raises(Superseded):
        store.open_log("a", b"", superseded)
    assert store.read("a") == b"1"


def test_log_belongs_to_whoever_opened_it_last(store):
    claims = [claims_module.take(store)]
    older = store.open_log("a", b"1", claims[0].check)
    claims.append(claims_module.take(store))
    newer = store.open_log("a", b"2", claims[1].check)
    older.append(b"from the older")
    newer.append(b"3")
    older.close()
    newer.close()
    assert store.read("a") == b"23"


def test_upload_moves_the_file(store, file):
    store.upload(file, "folder/a", crc32c(file))
    assert store.read("folder/a") == b"from a file"
    assert not file.exists()


def test_upload_replaces_the_object(store, file):
    store.write("a", b"1")
    store.upload(file, "a", crc32c(file))
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


def test_probe_finds_a_store_usable_and_leaves_nothing(store):
    store.write(".probe", b"left by a process that was killed")
    probe(store)
    assert store.list() == []
