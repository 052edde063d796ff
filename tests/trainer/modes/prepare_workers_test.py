"""Mode `prepare` with several workers: each shard is made once, and those of a lost one too."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from input_pipeline.shards import counting
from storage import leases
from storage.store import open_store
from tests.conftest import STORES
from tests.fakes.gcs_faults import Fault
from tests.trainer.modes.prepare_test import contents, prepare_config
from trainer.modes import prepare
from trainer.run import terminal

SHARD_REVIEWS = 20  # 33 shards in 3 groups, 3 and 3 shards
# Freezes before it writes its first shard, if it is given a third argument.
_CODE = """
import os, signal, sys
from storage.gcs import GcsStore
from storage.store import open_store
from tests.trainer.modes.prepare_test import prepare, prepare_config
reviews, url, *freezes = sys.argv[1:]
write = GcsStore.write
def freeze_and_write(store, name, data, check=None):
    if name.startswith("train/0"):
        GcsStore.write = write
        os.kill(os.getpid(), signal.SIGSTOP)
    write(store, name, data, check)
if freezes:
    GcsStore.write = freeze_and_write
prepare.prepare(prepare_config(reviews, 20), open_store(url), lapse_seconds=2.0)
"""


@pytest.fixture
def config(reviews):
    return prepare_config(reviews, SHARD_REVIEWS)


@pytest.fixture(scope="module")
def expected(reviews, tmp_path_factory):
    """Returns what a single worker leaves."""
    store = open_store(str(tmp_path_factory.mktemp("prepared") / "set"))
    prepare.prepare(prepare_config(reviews, SHARD_REVIEWS), store)
    return contents(store)


@pytest.fixture
def url(cloud, tmp_path):
    return f"gs://bucket/{tmp_path.name}/set"


def worker(*arguments):
    return subprocess.Popen(
        [sys.executable, "-c", _CODE, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def frozen_worker(reviews, url):
    """Starts a worker and returns it once it is stopped, with shards of train in its hands."""
    process = worker(reviews, url, "freezes")
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    assert open_store(url).list("workers/claim-train-")
    return process


def command(reviews, url, **environment):
    """Starts a worker as a user does."""
    config = ["--config=configs/default.py", f"--config.data.source=files:{reviews}"]
    fields = {"shard_reviews": SHARD_REVIEWS, "vocabulary_size": 200, "cache_dir": ""}
    config += [f"--config.data.{field}={value}" for field, value in fields.items()]
    return subprocess.Popen(
        [sys.executable, "-m", "trainer", "--mode=prepare", *config, f"--workdir={url}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def finished(process):
    """Waits for a process and returns what it has printed."""
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    return output


def written(cloud, url):
    """Returns the names of the shards in the order of the uploads to a bucket."""
    prefix = url.removeprefix("gs://bucket/") + "/"
    names = [r.name.removeprefix(prefix) for r in cloud.log if r.operation == "insert"]
    return [name for name in names if re.fullmatch(r"(train|validation|test)/0.*", name)]


@pytest.mark.parametrize("kind", STORES)
def test_workers_at_the_same_time_leave_what_one_does(
    cloud, config, expected, tmp_path, monkeypatch, kind
):
    monkeypatch.setattr(counting, "_SMALLEST_PART", 50)
    url = STORES[kind](tmp_path)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: prepare.prepare(config, open_store(url)), range(3)))
    assert contents(open_store(url)) == expected
    if kind == "gs":
        assert sorted(written(cloud, url)) == [n for n in sorted(expected) if "/0" in n]


HELD = ["train-000003", "validation-000000"]


def hold(worker):
    assert worker.take(HELD, len(HELD), done=lambda: ()) == HELD


def test_worker_waits_for_what_a_live_one_holds(config, expected, tmp_path, monkeypatch):
    lines, waits = [], threading.Event()

    def say(line):
        lines.append(line)
        if line.startswith("Waiting for 1 other worker(s)"):
            waits.set()

    monkeypatch.setattr(terminal, "say", say)
    store = open_store(str(tmp_path / "set"))
    with ThreadPoolExecutor(1) as pool, leases.Worker(store) as other:
        hold(other)
        done = pool.submit(prepare.prepare, config, store)
        assert waits.wait(60)
        assert len([name for name in store.list() if "/0" in name]) == 37
        assert store.list("train/000003") == []
    done.result()
    assert contents(store) == expected
    assert lines[0] == "Shares the work with 1 other worker(s), running or just lost"
    assert "This worker made 39 of the 39 shard(s)" in lines


def test_single_worker_says_nothing_of_others(config, tmp_path, capsys):
    prepare.prepare(config, open_store(str(tmp_path)))
    assert "worker(s)" not in (output := capsys.readouterr().out)
    assert "This worker" not in output


def test_shards_of_a_frozen_worker_are_made_by_another(config, expected, store):
    with leases.Worker(store, lapse_seconds=1e9) as frozen:
        hold(frozen)
        prepare.prepare(config, store, lapse_seconds=0.5)
        assert contents(store) == expected
        frozen.release(HELD[0])  # it wakes up
    assert contents(store) == expected


@pytest.mark.slow
def test_workers_of_a_job_share_the_work(cloud, reviews, expected, url):
    # No worker of this cluster can be reached, and none has to be.
    cluster = {"worker": ["192.0.2.1:2222", "192.0.2.2:2222"]}
    tasks = [{"type": "worker", "index": index} for index in range(2)]
    variables = [json.dumps({"cluster": cluster, "task": task}) for task in tasks]
    workers = [command(reviews, url, TF_CONFIG=variable) for variable in variables]
    for process in workers:
        assert "test: 60 reviews" in finished(process)
    assert contents(open_store(url)) == expected
    assert sorted(written(cloud, url)) == [name for name in sorted(expected) if "/0" in name]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_worker_gives_its_shards_back(cloud, config, reviews, expected, url, number):
    fault = cloud.inject(Fault("pause", "insert", name="/train/0"))
    process = command(reviews, url)
    assert fault.reached.wait(60)
    store = open_store(url)
    assert store.list("workers/lease-")
    process.send_signal(number)
    assert process.wait() == 75, process.stderr.read()
    assert "Stopped; run the same command again." in process.stderr.read()
    assert store.list("workers/lease-") == []
    assert store.list("workers/claim-")
    cloud.clear()
    prepare.prepare(config, store, lapse_seconds=1e9)
    assert contents(store) == expected


@pytest.mark.slow
def test_others_complete_what_a_killed_worker_left(reviews, expected, url):
    killed = frozen_worker(reviews, url)
    others = [worker(reviews, url) for _ in range(2)]
    store = open_store(url)
    while not store.list("train/0"):
        assert None in [process.poll() for process in others]
    killed.kill()
    for process in others:
        finished(process)
    assert contents(store) == expected
    assert killed.wait() == -signal.SIGKILL


@pytest.mark.slow
def test_frozen_worker_that_wakes_up_changes_nothing(reviews, expected, url):
    frozen = frozen_worker(reviews, url)
    finished(worker(reviews, url))
    assert contents(open_store(url)) == expected
    frozen.send_signal(signal.SIGCONT)
    finished(frozen)
    assert contents(open_store(url)) == expected
