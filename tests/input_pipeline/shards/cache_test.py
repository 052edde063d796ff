"""Run with `python -m pytest tests/input_pipeline/shards/cache_test.py`."""

import logging
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from input_pipeline.shards.cache import ShardCache
from storage.errors import UserError


def content(number, size=100):
    return bytes([number]) * size


class CountedStore:
    """A store behind a cache that counts what is fetched from it."""

    def __init__(self, folder, limit=1000):
        self.cache = ShardCache(folder, limit)
        self.fetched = []

    def read(self, number, size=100):
        def fetch():
            self.fetched.append(number)
            return content(number, size)

        expected = content(number, size)
        data = self.cache.read(f"shard-{number}", lambda data: data == expected, fetch)
        assert data == expected


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_second_reading_is_from_the_folder(tmp_path):
    store = CountedStore(tmp_path / "a" / "b")
    for number in (1, 2, 1, 2):
        store.read(number)
    assert store.fetched == [1, 2]
    assert names(tmp_path / "a" / "b") == ["shard-1", "shard-2"]


def test_another_process_finds_it(tmp_path):
    code = (
        "import pathlib, sys; from input_pipeline.shards.cache import ShardCache; "
        "ShardCache(pathlib.Path(sys.argv[1]), 1000)"
        ".read('shard-1', lambda d: True, lambda: b'\\1' * 100)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True)
    store = CountedStore(tmp_path)
    store.read(1)
    assert store.fetched == []


@pytest.mark.parametrize("damage", [b"", b"\1" * 99, b"\1" * 99 + b"\2"])
def test_damaged_file_is_fetched_again(tmp_path, damage, caplog):
    store = CountedStore(tmp_path)
    store.read(1)
    (tmp_path / "shard-1").write_bytes(damage)
    with caplog.at_level(logging.WARNING):
        store.read(1)
    assert "damaged" in caplog.text
    store.read(1)
    assert store.fetched == [1, 1]


def test_least_recently_used_is_removed(tmp_path):
    store = CountedStore(tmp_path, limit=300)
    for number in (1, 2, 3, 1, 4):
        store.read(number)
    assert names(tmp_path) == ["shard-1", "shard-3", "shard-4"]


def test_unfinished_file_that_another_process_removes_is_no_fault(tmp_path, monkeypatch, caplog):
    replace, removals = os.replace, iter(["once"])

    def replace_after_removal(source, target):
        if next(removals, None):
            source.unlink()  # as another process does to make room
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace_after_removal)
    store = CountedStore(tmp_path)
    store.read(1)
    store.read(1)
    assert store.fetched == [1, 1]
    assert not caplog.records


@pytest.mark.parametrize("limit", [100, 250, 1000])
def test_limit_holds(tmp_path, limit):
    store = CountedStore(tmp_path, limit)
    for number in range(30):
        store.read(number % 13)
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= limit


def test_shard_larger_than_the_limit_is_not_kept(tmp_path):
    store = CountedStore(tmp_path, limit=150)
    store.read(1)
    store.read(2, size=151)
    assert names(tmp_path) == ["shard-1"]


def test_file_of_a_killed_process_is_removed_in_its_turn(tmp_path):
    (tmp_path / ".writing-x").write_bytes(bytes(200))
    os.utime(tmp_path / ".writing-x", (1, 1))
    store = CountedStore(tmp_path, limit=250)
    store.read(1)
    assert names(tmp_path) == ["shard-1"]


def test_folder_that_cannot_be_written_costs_one_warning(tmp_path, caplog):
    (tmp_path / "file").touch()
    store = CountedStore(tmp_path / "file")
    for number in (1, 2, 1):
        store.read(number)
    assert caplog.text.count("config.data.cache_dir") == 1
    assert store.fetched == [1, 2, 1]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to(path)])
def test_what_is_no_file_is_not_read(tmp_path, make, caplog):
    make(tmp_path / "shard-1")
    store = CountedStore(tmp_path)
    for number in (1, 1, 2, 2):
        store.read(number)
    assert store.fetched == [1, 1, 2]
    assert caplog.text.count("config.data.cache_dir") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users")
@pytest.mark.parametrize(
    ("limit", "fetched", "warnings"), [(1000, [1, 1, 2], 1), (250, [1, 1, 2, 2], 2)]
)
def test_files_of_another_user_are_neither_taken_nor_removed(limit, fetched, warnings, caplog):
    folder = Path(tempfile.mkdtemp())  # those of pytest are for their owner only
    folder.chmod(0o1777)
    for name in ("shard-1", "shard-9", ".writing-left"):
        (folder / name).write_bytes(content(1))
        (folder / name).chmod(0o666)
        os.chown(folder / name, 12345, 12345)
    store = CountedStore(folder, limit)
    os.seteuid(12346)
    try:
        for number in (1, 1, 2, 2):
            store.read(number)
    finally:
        os.seteuid(0)
    assert {"shard-1", "shard-9", ".writing-left"} <= set(names(folder))
    assert caplog.text.count("config.data.cache_dir") == warnings
    assert store.fetched == fetched
    shutil.rmtree(folder)


def test_failure_to_fetch_keeps_nothing(tmp_path):
    def fetch():
        raise UserError("config.data.source: not there")

    with pytest.raises(UserError, match="not there"):
        ShardCache(tmp_path, 1000).read("shard-1", lambda data: True, fetch)
    assert names(tmp_path) == []


def test_many_share_a_folder(tmp_path):
    def work(seed):
        store = CountedStore(tmp_path, limit=500)
        for turn in range(100):
            store.read((turn * (seed + 3)) % 11)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))  # each checks what it reads
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 500 + 3 * 100
    assert all(name.startswith("shard-") for name in names(tmp_path))
