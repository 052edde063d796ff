"""Checkpoints: saved, restored, ranked and deleted, damaged or not."""

import json
import math
import re
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf

from storage import checksum, claims
from storage.errors import Superseded, UserError
from storage.store import open_store
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


@pytest.mark.parametrize("nan_step", [1, 2, 3])
def test_score_that_is_no_number_ranks_behind_every_number(store, nan_step):
    scores = {1: -0.7, 2: -0.9, 3: -0.8, nan_step: math.nan}
    save(store, 1, 2, 3, scores=scores)
    assert restored(store, "best")[0] == (3 if nan_step == 1 else 1)
    assert ranked(store, "best")[-1].step == nan_step


def test_without_scores_the_last_checkpoint_is_the_best(store):
    save(store, 1, 2)
    assert restored(store, "best") == (2, 2)


def test_files_without_manifest_are_no_checkpoint(store):
    save(store, 1, 2)
    store.delete("checkpoints/2/claim-1.manifest.json")
    assert restored(store) == (1, 1)
    save(store, 2, 3)
    assert restored(store, "2") == (2, 2)


# Damage -> what the warning says of it.
DAMAGE = {
    "flip": r"data-00000-of-00001 has the crc32c \d+, its manifest says \d+;",
    "cut": r"data-00000-of-00001 has the size \d+, its manifest says \d+;",
    "missing": "lacks",
    "manifest": "can't be read",
    "nested manifest": "can't be read",
}


@pytest.mark.parametrize("damage", DAMAGE)
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
        nested = b"[" * 200_000 if "nested" in damage else b"{"
        store.write("checkpoints/2/claim-1.manifest.json", nested)
    assert restored(store) == (1, 1)
    assert re.search(f"step 2.*{DAMAGE[damage]}", caplog.text)
    save(store, 2)
    assert restored(store) == (2, 2)


@pytest.mark.parametrize("name", ["data-00000-of-00001", "manifest.json"])
def test_restore_skips_a_checkpoint_with_a_file_that_can_not_be_read(tmp_path, name, caplog):
    store = open_store(str(tmp_path))
    save(store, 1, 2)
    path = tmp_path / "checkpoints" / "2" / f"claim-1.{name}"
    path.unlink()
    path.symlink_to(path.name)
    assert restored(store) == (1, 1)
    assert f"{path}: Too many levels of symbolic links" in caplog.text


def test_checkpoint_behind_a_link_is_read(tmp_path):
    store = open_store(str(tmp_path / "run"))
    save(store, 1, 2)
    folder = tmp_path / "run" / "checkpoints" / "2"
    folder.rename(tmp_path / "moved")
    folder.symlink_to(tmp_path / "moved")
    assert restored(store) == (2, 2)


@pytest.mark.parametrize("target", [None, "nowhere", "2"])
def test_what_stands_for_a_checkpoint_without_being_a_folder_is_refused(tmp_path, target):
    store = open_store(str(tmp_path))
    save(store, 1, 2)
    folder = tmp_path / "checkpoints" / "2"
    shutil.rmtree(folder)
    folder.symlink_to(target) if target else folder.touch()
    with pytest.raises(UserError, match=r"checkpoints/2: a file, or a link to a folder that is"):
        restored(store)


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


@pytest.mark.parametrize("point", ["after the listing", "before the files are read"])
def test_checkpoint_that_is_deleted_while_it_is_restored_is_followed_by_a_newer(
    store, point, monkeypatch
):
    save(store, 1, 2, keep_last=1)
    training, steps = open_store(store.url), iter([3, 4])
    listing, download, one_at_a_time = store.list, store.download, threading.Lock()

    def train():
        with one_at_a_time:
            if step := next(steps, None):
                save(training, step, keep_last=1)

    def list_then_train(prefix):
        names = listing(prefix)
        train()
        return names

    def train_then_download(*arguments):
        train()
        download(*arguments)

    if point == "after the listing":
        monkeypatch.setattr(store, "list", list_then_train)
    else:
        monkeypatch.setattr(store, "download", train_then_download)
    assert restored(store) == (4, 4)


def test_restore_ends_while_all_that_is_listed_is_deleted(store, monkeypatch):
    def raise_missing(name):
        raise FileNotFoundError(name)

    save(store, 1)
    monkeypatch.setattr(store, "read", raise_missing)
    with pytest.raises(UserError, match="deleted 100 times in a row before they were read; run"):
        restored(store)


def test_checkpoint_of_a_newer_format_is_refused(store):
    save(store, 1, 2)
    name = "checkpoints/2/claim-1.manifest.json"
    content = {**json.loads(store.read(name)), "format": 3}
    del content["crc32c"]
    crc32c = checksum.of(json.dumps(content, sort_keys=True).encode())
    store.write(name, json.dumps({**content, "crc32c": crc32c}).encode())
    with pytest.raises(UserError, match="has format 3"):
        restored(store)
