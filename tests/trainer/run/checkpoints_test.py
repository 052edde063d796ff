"""Checkpoints: saved, restored, ranked and deleted, damaged or not."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf

from storage import checksum, claims
from storage.errors import Superseded, UserError
from tests.trainer.run.manifests import manifest_of
from trainer.run.checkpoints import Checkpoints, ranked, restore


def save(store, *steps, scores=None, keep_last=9):
    """Saves a checkpoint at each of `steps`, in one start; its only variable holds the step."""
    checkpoints = Checkpoints(store, claims.take(store), keep_last)
    variable = tf.Variable(np.zeros(100))
    for step in steps:
        variable.assign(np.full(100, step))
        checkpoint = tf.train.Checkpoint(variable=variable)
        checkpoints.save(checkpoint.write, manifest_of(step, (scores or {}).get(step)))
        checkpoints.retire()


def restored(store, which="last"):
    """Returns the manifest's step and the variable's value, or None without a checkpoint."""
    variable = tf.Variable(np.zeros(100))
    found = restore(store, which, lambda path, _: tf.train.Checkpoint(variable=variable).read(path))
    return found and (found.step, variable.numpy()[0])


def data_file(store, step):
    (name,) = (n for n in store.list(f"checkpoints/{step}/") if ".data" in n)
    return name


def test_saved_checkpoint_is_restored(store):
    assert restored(store) is None
    save(store, 20, 40)
    assert restored(store) == (40, 40)
    assert restored(store, "20") == (20, 20)
    assert ranked(store, "last")[0].sums == {"epoch_sums": {"loss": [20, 40]}}


def test_last_checkpoints_and_the_best_are_kept(store):
    save(store, 1, 2, 3, 4, 5, scores={1: 0.7, 2: 0.9, 3: 0.8, 4: 0.8}, keep_last=2)
    assert [m.step for m in ranked(store, "last")] == [5, 4, 2]
    assert restored(store, "best") == (2, 2)


def test_newer_of_two_equal_scores_is_the_best(store):
    save(store, 1, 2, 3, scores={1: 0.9, 2: 0.9})
    assert restored(store, "best") == (2, 2)


def test_without_scores_the_last_checkpoint_is_the_best(store):
    save(store, 1, 2)
    assert restored(store, "best") == (2, 2)


def test_files_without_manifest_are_no_checkpoint(store):
    save(store, 1, 2)
    store.delete("checkpoints/2/claim-1.manifest.json")
    assert restored(store) == (1, 1)
    save(store, 2, 3)
    assert restored(store, "2") == (2, 2)


@pytest.mark.parametrize("damage", ["flip", "cut", "missing", "manifest"])
def test_restore_skips_a_damaged_checkpoint_with_a_warning(store, damage, caplog):
    save(store, 1, 2)
    name = data_file(store, 2)
    data = bytearray(store.read(name))
    if damage == "flip":
        data[len(data) // 2] ^= 1
        store.write(name, bytes(data))
    elif damage == "cut":
        store.write(name, bytes(data[:-1]))
    elif damage == "missing":
        store.delete(name)
    else:
        store.write("checkpoints/2/claim-1.manifest.json", b"{")
    assert restored(store) == (1, 1)
    assert "step 2" in caplog.text
    save(store, 2)
    assert restored(store) == (2, 2)


def test_manifest_with_a_changed_number_is_damaged(store, caplog):
    save(store, 1, 2)
    name = "checkpoints/2/claim-1.manifest.json"
    store.write(name, store.read(name).replace(b'"step": 2', b'"step": 3'))
    assert restored(store) == (1, 1)
    assert "another checksum" in caplog.text


def test_restore_raises_when_no_checkpoint_verifies(store):
    save(store, 1)
    store.delete(data_file(store, 1))
    with pytest.raises(UserError, match=r"none of the checkpoints asked for verifies"):
        restored(store)


def test_unknown_checkpoint_is_refused(store):
    save(store, 1, 2)
    with pytest.raises(UserError, match=r"no step 7 .*1, 2"):
        restored(store, "7")
    with pytest.raises(UserError, match="got 'newest'"):
        restored(store, "newest")


def test_checkpoint_of_a_newer_start_ranks_before_later_steps_of_an_older_one(store):
    save(store, 1, 3)
    save(store, 2)
    assert restored(store) == (2, 2)
    assert [(m.claim, m.step) for m in ranked(store, "last")] == [(2, 2), (1, 3), (1, 1)]


def test_step_saved_by_two_starts_ranks_the_newer_first(store):
    save(store, 1, 2)
    save(store, 2)
    assert [m.claim for m in ranked(store, "2")] == [2, 1]
    save(store, 3, keep_last=2)
    assert [(m.claim, m.step) for m in ranked(store, "last")] == [(3, 3), (2, 2)]


def test_clean_up_deletes_no_checkpoint_of_a_newer_start(store):
    older = Checkpoints(store, claims.take(store), 1)
    save(store, 1, 2)
    names = store.list()
    older.retire()
    assert store.list() == names


def test_files_of_a_killed_save_are_deleted(store):
    save(store, 1)
    store.delete("checkpoints/1/claim-1.manifest.json")
    save(store, 2)
    assert store.list("checkpoints/1/") == []


def test_superseded_start_writes_nothing(store):
    older = Checkpoints(store, claims.take(store), 9)
    save(store, 1)
    names = store.list()
    with pytest.raises(Superseded, match="start 2"):
        older.save(tf.train.Checkpoint(variable=tf.Variable(0.0)).write, manifest_of(2))
    assert store.list() == names


def test_manifest_names_every_file_and_the_claim(store):
    save(store, 1)
    save(store, 2)
    name = "checkpoints/2/claim-2.manifest.json"
    content = json.loads(store.read(name))
    names = [file["name"] for file in content["files"]]
    assert content["claim"] == 2
    assert all("claim-2" in name for name in names)
    assert sorted([*names, name]) == store.list("checkpoints/2/")


def test_manifest_that_names_no_files_is_damaged(store):
    save(store, 1, 2)
    name = "checkpoints/2/claim-1.manifest.json"
    content = json.loads(store.read(name))
    store.write(name, json.dumps({**content, "files": []}).encode())
    assert restored(store) == (1, 1)


def test_listing_tolerates_concurrent_deletions(store):
    """`predict` may read a run while its training deletes old checkpoints."""
    with ThreadPoolExecutor() as threads:
        saving = threads.submit(save, store, *range(1, 60), keep_last=1)
        while not saving.done():
            ranked(store, "last")
        saving.result()
    assert restored(store) == (59, 59)


def test_checkpoint_of_a_newer_format_is_refused(store):
    save(store, 1, 2)
    name = "checkpoints/2/claim-1.manifest.json"
    content = {**json.loads(store.read(name)), "format": 3}
    del content["crc32c"]
    crc32c = checksum.of(json.dumps(content, sort_keys=True).encode())
    store.write(name, json.dumps({**content, "crc32c": crc32c}).encode())
    with pytest.raises(UserError, match="has format 3"):
        restored(store)
