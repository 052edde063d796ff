"""Faults of Cloud Storage at each point of a save and of a restore; docs/faults.md lists them.

The real client talks to a server on this machine, into which the tests inject faults.
"""

import math

import pytest

from storage import claims
from storage.errors import UserError
from storage.store import open_store
from tests.fakes.gcs_faults import Fault
from tests.trainer.run.manifests import manifest_of
from trainer.run.checkpoints import Checkpoints, ranked, restore

LARGE = 8 * 2**20 + 1  # bytes: enough for the client to use a resumable upload

# Faults that hit one request: its retry succeeds.
PASSING = ["429", "500", "503", "reset", "truncate", "drop", "slow", "corrupt"]
# Faults that last until a person removes their cause.
LASTING = ["401", "403", "404", "503", "reset", "drop"]
# Where a save or restore can fail -> the operation and a pattern for the object's name.
SAVE = {
    "claims, before the upload": ("list", "claims/"),
    "index file": ("insert", r"\.index"),
    "data file": ("insert", r"\.data"),
    "manifest": ("insert", "manifest"),
}
LARGE_SAVE = {"data file, session": ("start", r"\.data"), "data file, bytes": ("chunk", r"\.data")}
RETIRE = {
    "list of objects": ("list", "checkpoints/"),
    "manifests read": ("download", "manifest"),
    "deletion": ("delete", ""),
}
RESTORE = {
    "list of checkpoints": ("list", "checkpoints/"),
    "manifest": ("download", "/2/.*manifest"),
    "index file": ("download", r"/2/.*\.index"),
    "data file": ("download", r"/2/.*\.data"),
}


@pytest.fixture
def store(cloud, tmp_path):
    yield open_store(f"gs://bucket/{tmp_path.name}/run", retry_seconds=20.0)
    cloud.clear()


@pytest.fixture
def short_retry_store(store):
    """Opens the store so that it retries for 0.3 seconds only, for faults that last."""
    return open_store(store.url, retry_seconds=0.3)


def save(store, step, size=1000, keep_last=2):
    """Takes a claim and saves a checkpoint with it; returns the `Checkpoints`."""
    checkpoints = Checkpoints(store, claims.take(store), keep_last)
    save_step(checkpoints, step, size)
    return checkpoints


def save_step(checkpoints, step, size=1000, score=None):
    """Saves a checkpoint whose files consist of the byte `step`; `size` is that of its data."""

    def write(prefix):
        for ending in (".index", ".data-00000-of-00001"):
            with open(prefix + ending, "wb") as file:  # noqa: PTH123
                file.write(bytes([step]) * (size if "data" in ending else 100))

    checkpoints.save(write, manifest_of(step, score))


def restored(store, which="last"):
    """Returns the step whose bytes are restored, or 0 without a checkpoint."""
    found = []

    def read(prefix, manifest):
        with open(prefix + ".data-00000-of-00001", "rb") as file:  # noqa: PTH123
            content = file.read()
        assert content == bytes([manifest.step]) * len(content)
        found.append(manifest.step)

    restore(store, which, read)
    return found[0] if found else 0


def assert_all_verify(store):
    """Asserts that each visible checkpoint verifies."""
    for manifest in ranked(store, "last"):
        assert restored(store, str(manifest.step)) == manifest.step


def inject_at(cloud, kind, point, **options):
    """Injects a fault at a point of a save or restore."""
    operation, name = point
    return cloud.inject(Fault(kind, operation=operation, name=name, seconds=0.05, **options))


@pytest.mark.parametrize("kind", PASSING)
@pytest.mark.parametrize("point", SAVE)
def test_passing_fault_in_a_save_changes_nothing(cloud, store, point, kind):
    checkpoints = save(store, 1)
    fault = inject_at(cloud, kind, SAVE[point])
    save_step(checkpoints, 2)
    assert fault.hits or kind == "corrupt"
    assert restored(store) == 2
    assert_all_verify(store)


@pytest.mark.parametrize("kind", PASSING)
@pytest.mark.parametrize("point", LARGE_SAVE)
def test_passing_fault_in_a_large_upload_changes_nothing(cloud, store, point, kind):
    fault = inject_at(cloud, kind, LARGE_SAVE[point])
    save(store, 2, LARGE)
    assert fault.hits or kind == "corrupt"
    assert restored(store) == 2


@pytest.mark.parametrize("kind", PASSING)
@pytest.mark.parametrize("point", RETIRE)
def test_passing_fault_in_a_clean_up_changes_nothing(cloud, store, point, kind):
    checkpoints = save(store, 1, keep_last=1)
    save_step(checkpoints, 2)
    fault = inject_at(cloud, kind, RETIRE[point])
    checkpoints.retire()
    assert fault.hits or kind == "corrupt"
    assert [manifest.step for manifest in ranked(store, "last")] == [2]
    assert store.list("checkpoints/1/") == []


@pytest.mark.parametrize("kind", PASSING)
@pytest.mark.parametrize("point", RESTORE)
def test_passing_fault_in_a_restore_changes_nothing(cloud, store, point, kind):
    checkpoints = save(store, 1)
    save_step(checkpoints, 2)
    fault = inject_at(cloud, kind, RESTORE[point])
    assert restored(store) == 2
    assert fault.hits or kind == "corrupt"


@pytest.mark.parametrize("kind", LASTING)
@pytest.mark.parametrize("point", SAVE)
def test_lasting_fault_fails_only_that_save(cloud, short_retry_store, point, kind):
    checkpoints = save(short_retry_store, 1)
    inject_at(cloud, kind, SAVE[point], times=math.inf)
    with pytest.raises(UserError, match=r"^--workdir: gs://bucket/.*/run/"):
        save_step(checkpoints, 2)
    cloud.clear()
    assert restored(short_retry_store) in (
        (1, 2) if (kind, point) == ("drop", "manifest") else (1,)
    )
    assert_all_verify(short_retry_store)
    save_step(checkpoints, 2)
    save_step(checkpoints, 3)
    assert restored(short_retry_store) == 3
    assert_all_verify(short_retry_store)


def test_step_is_saved_again_after_the_answer_to_its_manifest_was_lost(cloud, short_retry_store):
    """The first save fails although the store has its manifest; the second writes another one."""
    checkpoints = save(short_retry_store, 1)
    inject_at(cloud, "drop", SAVE["manifest"], times=math.inf)
    with pytest.raises(UserError):
        save_step(checkpoints, 2)
    cloud.clear()
    save_step(checkpoints, 2, score=0.5)
    assert restored(short_retry_store) == 2
    assert_all_verify(short_retry_store)


def test_outage_right_after_the_commit_does_not_fail_the_save(cloud, short_retry_store):
    checkpoints = save(short_retry_store, 1)
    inject_at(cloud, "503", SAVE["claims, before the upload"], skip=2, times=math.inf)
    save_step(checkpoints, 2)
    cloud.clear()
    assert restored(short_retry_store) == 2


@pytest.mark.parametrize("point", ["index file", "data file", "manifest"])
def test_upload_always_changed_in_transit_makes_no_checkpoint(cloud, store, point):
    checkpoints = save(store, 1)
    inject_at(cloud, "corrupt", SAVE[point], times=math.inf)
    with pytest.raises(UserError, match="not transferred intact in 3 tries"):
        save_step(checkpoints, 2)
    assert restored(store) == 1
    assert_all_verify(store)


@pytest.mark.parametrize("kind", LASTING)
@pytest.mark.parametrize("point", RETIRE)
def test_lasting_fault_in_a_clean_up_leaves_checkpoints_that_verify(
    cloud, short_retry_store, point, kind
):
    checkpoints = save(short_retry_store, 1, keep_last=1)
    save_step(checkpoints, 2)
    inject_at(cloud, kind, RETIRE[point], times=math.inf)
    if (kind, point) != ("404", "deletion"):
        with pytest.raises(UserError):
            checkpoints.retire()
    cloud.clear()
    assert restored(short_retry_store) == 2
    assert_all_verify(short_retry_store)
    checkpoints.retire()
    assert [manifest.step for manifest in ranked(short_retry_store, "last")] == [2]


@pytest.mark.parametrize("kind", ["401", "403", "503", "reset", "drop"])
@pytest.mark.parametrize("point", RESTORE)
def test_lasting_fault_fails_a_restore_and_changes_nothing(cloud, short_retry_store, point, kind):
    checkpoints = save(short_retry_store, 1)
    save_step(checkpoints, 2)
    inject_at(cloud, kind, RESTORE[point], times=math.inf)
    with pytest.raises(UserError, match=r"^--workdir: gs://bucket/"):
        restored(short_retry_store)
    cloud.clear()
    assert restored(short_retry_store) == 2


@pytest.mark.parametrize("point", ["manifest", "index file", "data file"])
def test_download_always_changed_in_transit_falls_back_to_the_previous_checkpoint(
    cloud, store, point, caplog
):
    checkpoints = save(store, 1)
    save_step(checkpoints, 2)
    inject_at(cloud, "corrupt", RESTORE[point], times=math.inf)
    assert restored(store) == 1
    assert "2" in caplog.text
    cloud.clear()
    assert restored(store) == 2


def test_clean_up_deletes_nothing_when_a_manifest_is_changed_in_transit(cloud, store):
    checkpoints = save(store, 1, keep_last=1)
    save_step(checkpoints, 2)
    inject_at(cloud, "corrupt", RESTORE["manifest"], times=math.inf)
    with pytest.raises(UserError, match="not transferred intact"):
        checkpoints.retire()
    cloud.clear()
    assert [manifest.step for manifest in ranked(store, "last")] == [2, 1]
