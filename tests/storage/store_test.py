"""Run with `python -m pytest tests/storage/store_test.py`: what holds for every store."""

import pytest

from storage import claims as claims_module
from storage.checksum import of_file as crc32c
from storage.errors import Superseded
from storage.store import open_store, probe
from tests.storage.uses import USES


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


def test_create_does_not_change_an_existing_object(store):
    store.write("a", b"1")
    with pytest.raises(FileExistsError):
        store.create("a", b"2")
    assert store.read("a") == b"1"


def test_create_again_with_the_same_bytes_succeeds(store):
    store.create("a", b"1")
    store.create("a", b"1")
    assert store.read("a") == b"1"


def test_write_calls_the_check_first(store):
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


def test_log_belongs_to_its_most_recent_opener(store):
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


def test_store_works_after_its_last_object_is_deleted(store):
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
def test_reading_a_missing_object_raises_file_not_found(store, name):
    with pytest.raises(FileNotFoundError):
        store.read(name)


def test_downloading_a_missing_object_raises_file_not_found(store, tmp_path):
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


def test_fresh_store_is_empty(store):
    assert store.list() == []


@pytest.mark.parametrize("name", ["../a", "a/../../b", "a/..", "/a"])
@pytest.mark.parametrize("use", USES)
def test_name_that_leads_out_of_the_store_is_refused(store, file, use, name):
    with pytest.raises(ValueError, match=r"relative name without '\.\.'"):
        USES[use](store, name, file)


def test_name_with_dots_that_lead_nowhere_is_accepted(store):
    store.write("a..b/..c", b"1")
    assert store.list() == ["a..b/..c"]


def test_probe_finds_a_store_usable_and_leaves_nothing(store):
    store.write(".probe", b"left by a process that was killed")
    probe(store)
    assert store.list() == []
