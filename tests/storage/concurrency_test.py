"""Run with `python -m pytest tests/storage/concurrency_test.py`: several users of one store."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Tries to create the names 0..19 in the store at a URL and prints those it created.
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


def test_concurrent_sweeps_and_writes_do_not_disturb_each_other(store):
    def work(thread):
        for number in range(150):
            store.sweep()
            store.write(f"{thread}/{number}", b"1")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    assert len(store.list()) == 600


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


def test_readers_see_whole_objects(store):
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
