"""An older start, superseded by a newer one of the same run while one of its requests hangs."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from storage import claims
from storage.errors import Superseded
from storage.store import open_store
from tests.fakes.gcs_faults import Fault
from tests.trainer.run.faults_test import assert_all_verify, restored, save, save_step
from trainer.run.checkpoints import Checkpoints, ranked


@pytest.fixture
def store(cloud, tmp_path):
    yield open_store(f"gs://bucket/{tmp_path.name}/run")
    cloud.clear()


@pytest.fixture
def older(store):
    """Returns the `Checkpoints` of a start that has saved step 1."""
    return save(store, 1)


def paused(cloud, operation, name):
    """Makes the next such request hang until the returned fault is released."""
    return cloud.inject(Fault("pause", operation=operation, name=name))


def save_late(cloud, store, older, pause, meanwhile):
    """Saves step 3 in `older`, which hangs at `pause` while a newer start does `meanwhile`."""
    with ThreadPoolExecutor(1) as thread:
        saving = thread.submit(save_step, older, 3)
        assert pause.reached.wait(10)
        meanwhile(Checkpoints(store, claims.take(store), 2))
        pause.release()
        with pytest.raises(
            Superseded, match="start 2 of this run has superseded this one, start 1"
        ):
            saving.result()


def test_start_paused_before_its_upload_commits_nothing(cloud, store, older):
    pause = paused(cloud, "insert", r"\.data")
    save_late(cloud, store, older, pause, lambda newer: None)
    assert [manifest.step for manifest in ranked(store, "last")] == [1]
    assert_all_verify(store)


def test_late_commit_is_withdrawn(cloud, store, older):
    """The newer start may delete its files at any moment."""
    pause = paused(cloud, "insert", "manifest")
    save_late(cloud, store, older, pause, lambda newer: save_step(newer, 2))
    assert [(m.claim, m.step) for m in ranked(store, "last")] == [(2, 2), (1, 1)]
    assert restored(store) == 2
    assert_all_verify(store)


def test_late_commit_of_the_same_step_leaves_that_of_the_newer_start_intact(cloud, store, older):
    pause = paused(cloud, "insert", "claim-1.manifest")
    save_late(cloud, store, older, pause, lambda newer: save_step(newer, 3))
    assert ranked(store, "last")[0].claim == 2
    assert restored(store) == 3
    assert_all_verify(store)


def test_late_commit_is_deleted_when_the_newer_start_has_deleted_its_files(cloud, store, older):
    def meanwhile(newer):
        save_step(newer, 2)
        newer.retire()

    pause = paused(cloud, "insert", "claim-1.manifest")
    save_late(cloud, store, older, pause, meanwhile)
    assert [(m.claim, m.step) for m in ranked(store, "last")] == [(2, 2), (1, 1)]
    assert_all_verify(store)


def test_clean_up_of_a_superseded_start_deletes_nothing_newer(cloud, store, older):
    pause = paused(cloud, "list", "checkpoints/")
    with ThreadPoolExecutor(1) as thread:
        retiring = thread.submit(older.retire)
        assert pause.reached.wait(10)
        save(store, 2)
        pause.release()
        retiring.result()
    assert restored(store) == 2
    assert_all_verify(store)


def test_one_of_two_starts_at_the_same_moment_gets_the_run(cloud, store):
    """Both starts list the claims before either has created its own."""
    pauses = [paused(cloud, "insert", "claims/1"), paused(cloud, "insert", "claims/1")]
    barrier = threading.Barrier(2)

    def take():
        barrier.wait()
        return claims.take(store)

    with ThreadPoolExecutor(2) as threads:
        taking = [threads.submit(take) for _ in range(2)]
        for pause in pauses:
            assert pause.reached.wait(10)
        for pause in pauses:
            pause.release()
        taken = [future.result() for future in taking]
    loser, winner = sorted(taken, key=lambda claim: claim.number)
    assert (loser.number, winner.number) == (1, 2)
    winner.check()
    with pytest.raises(Superseded):
        loser.check()


def test_config_of_a_paused_start_does_not_overwrite_a_newer_one(cloud, store):
    older = claims.take(store)
    pause = paused(cloud, "insert", "config.json")
    with ThreadPoolExecutor(1) as thread:
        writing = thread.submit(store.write, "config.json", b"older", older.check)
        assert pause.reached.wait(10)
        store.write("config.json", b"newer", claims.take(store).check)
        pause.release()
        with pytest.raises(Superseded):
            writing.result()
    assert store.read("config.json") == b"newer"


def test_answer_lost_after_a_write_is_retried_and_finds_its_own_object(cloud, store):
    """A retry finds the claim, config or metrics that its first attempt has written."""
    for name in ("claims/", "config.json", "metrics.jsonl"):
        cloud.inject(Fault("drop", operation="insert", name=name))
    claim = claims.take(store)
    store.write("config.json", b"{}", claim.check)
    log = store.open_log("metrics.jsonl", b"1", claim.check)
    drop = cloud.inject(Fault("drop", operation="insert", name="metrics.jsonl"))
    log.append(b"2")
    log.close()
    assert drop.hits == 1
    assert claim.number == 1
    assert store.read("config.json") == b"{}"
    assert store.read("metrics.jsonl") == b"12"
