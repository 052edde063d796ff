import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf

from storage import claims
from storage.claims import Superseded
from storage.errors import UserError
from storage.store import open_store
from trainer.checkpoints import Checkpoints, Manifest, ranked, restore


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "run"))


def manifest(step, accuracy=None):
    return Manifest(step, "{}", "v", "d", accuracy, {"epoch_sums": {"weight": step}})


def save(store, *steps, accuracies=None, keep_last=9):
    """Saves a variable that holds the step, at each step."""
    checkpoints = Checkpoints(store, claims.take(store), keep_last)
    variable = tf.Variable(np.zeros(100))
    for step in steps:
        variable.assign(np.full(100, step))
        checkpoint = tf.train.Checkpoint(variable=variable)
        checkpoints.save(checkpoint, manifest(step, (accuracies or {}).get(step)))


def restored(store, which="last"):
    """(step of the manifest, value of the variable), None when there is no checkpoint."""
    variable = tf.Variable(np.zeros(100))
    found = restore(store, which, lambda path, _: tf.train.Checkpoint(variable=variable).read(path))
    return found and (found.step, variable.numpy()[0])


def data_file(store, tmp_path, step):
    (name,) = (n for n in store.list(f"checkpoints/{step}/") if ".data" in n)
    return tmp_path / "run" / name


def test_what_was_saved_is_restored(store):
    assert restored(store) is None
    save(store, 20, 40)
    assert restored(store) == (40, 40)
    assert restored(store, "20") == (20, 20)
    assert ranked(store, "last")[0].sums == {"epoch_sums": {"weight": 40}}


def test_last_ones_and_the_best_are_kept(store):
    save(store, 1, 2, 3, 4, 5, accuracies={1: 0.7, 2: 0.9, 3: 0.8, 4: 0.8}, keep_last=2)
    assert [m.step for m in ranked(store, "last")] == [5, 4, 2]
    assert restored(store, "best") == (2, 2)


def test_newer_of_two_equals_is_the_best(store):
    save(store, 1, 2, 3, accuracies={1: 0.9, 2: 0.9})
    assert restored(store, "best") == (2, 2)


def test_best_without_any_validation_is_the_last(store):
    save(store, 1, 2)
    assert restored(store, "best") == (2, 2)


def test_files_without_manifest_are_no_checkpoint(store):
    save(store, 1, 2)
    store.delete("checkpoints/2/manifest.json")
    assert restored(store) == (1, 1)
    save(store, 2, 3)
    assert restored(store, "2") == (2, 2)


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "manifest"])
def test_walks_back_from_a_damaged_checkpoint_and_says_so(store, tmp_path, damage, caplog):
    save(store, 1, 2)
    path = data_file(store, tmp_path, 2)
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif damage == "cut":
        path.write_bytes(data[:-1])
    elif damage == "gone":
        path.unlink()
    else:
        (path.parent / "manifest.json").write_text("{")
    assert restored(store) == (1, 1)
    assert "step 2" in caplog.text
    save(store, 2)
    assert restored(store) == (2, 2)


def test_stops_when_no_checkpoint_verifies(store, tmp_path):
    save(store, 1)
    data_file(store, tmp_path, 1).unlink()
    with pytest.raises(UserError, match=r"no checkpoint .* verifies"):
        restored(store)


def test_unknown_checkpoint_is_refused(store):
    save(store, 1, 2)
    with pytest.raises(UserError, match=r"no step 7 .*1, 2"):
        restored(store, "7")
    with pytest.raises(UserError, match="got 'newest'"):
        restored(store, "newest")


def test_superseded_process_writes_nothing(store):
    old = Checkpoints(store, claims.take(store), 9)
    save(store, 1)
    names = store.list()
    with pytest.raises(Superseded, match="start 2"):
        old.save(tf.train.Checkpoint(variable=tf.Variable(0.0)), manifest(2))
    assert store.list() == names


def test_manifest_names_every_file_and_the_claim(store):
    save(store, 1)
    save(store, 2)
    content = json.loads(store.read("checkpoints/2/manifest.json"))
    names = [file["name"] for file in content["files"]]
    assert content["claim"] == 2
    assert all("claim-2" in name for name in names)
    assert sorted([*names, "checkpoints/2/manifest.json"]) == store.list("checkpoints/2/")


def test_manifest_that_names_no_files_is_damaged(store):
    save(store, 1, 2)
    content = json.loads(store.read("checkpoints/2/manifest.json"))
    store.write("checkpoints/2/manifest.json", json.dumps({**content, "files": []}).encode())
    assert restored(store) == (1, 1)


def test_listing_survives_deletions_beside_it(store):
    """As when `predict` reads a run while its training deletes old checkpoints."""
    with ThreadPoolExecutor() as threads:
        saving = threads.submit(save, store, *range(1, 60), keep_last=1)
        while not saving.done():
            ranked(store, "last")
        saving.result()
    assert restored(store) == (59, 59)
