"""Asynchronous saves: what they store, one at a time, and how their failures are reported."""

import contextlib
import threading

import numpy as np
import pytest
import tensorflow as tf

from input_pipeline.labels import SENTIMENTS
from storage import claims
from storage.errors import Superseded, UserError
from storage.store import open_store
from tests.trainer.run.manifests import manifest_of
from trainer.learning import train_state
from trainer.learning.objectives.registry import create_objective
from trainer.machines.lost_machines import SAVE_THREAD
from trainer.run.checkpoints import Checkpoints, ranked, restore
from trainer.run.saver import METRICS, Saver


class PausedCheckpoints(Checkpoints):
    """Checkpoints whose saves wait until `go` is set; raises when two saves overlap."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.go = threading.Event()
        self.in_progress = threading.Semaphore(1)

    def save(self, write, manifest):
        if not self.in_progress.acquire(blocking=False):
            raise RuntimeError("two saves at a time")
        try:
            self.go.wait()
            super().save(write, manifest)
        finally:
            self.in_progress.release()


def create_state(config):
    return train_state.create(create_objective(config, SENTIMENTS), config, 50)


@pytest.fixture
def states(config):
    config.train.average_decay = 0.9
    return create_state(config), create_state(config)


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "run"))


@pytest.fixture
def checkpoints(store):
    return PausedCheckpoints(store, claims.take(store), 9)


def make_saver(checkpoints, state, spare):
    return Saver(checkpoints, state, lambda: spare)


def fill(state, value):
    for variable in state.variables:
        variable.assign(tf.cast(tf.fill(variable.shape, value), variable.dtype))


def values(state):
    return [variable.numpy() for variable in state.variables]


def restored(store, state, which):
    """Reads a checkpoint into `state`; returns the lines of metrics stored with it."""

    def read(path, _):
        state.checkpoint().read(path).assert_consumed()
        metrics.append(tf.io.read_file(path + METRICS).numpy())

    metrics = []
    restore(store, which, read)
    return metrics[0]


def test_save_stores_the_state_at_the_call_while_training_continues(states, checkpoints, store):
    state, spare = states
    fill(state, 1)
    saver = make_saver(checkpoints, state, spare)
    saver.save(manifest_of(1), b"one\n")
    fill(state, 2)
    checkpoints.go.set()
    assert saver.finish()
    assert restored(store, state, "last") == b"one\n"
    assert all((value == 1).all() for value in values(state))
    assert saver.saved_step == 1


def test_every_tensor_of_a_checkpoint_is_copied(config, states, tmp_path):
    state, spare = states
    for number, variable in enumerate(state.variables):
        fill_value = tf.cast(tf.fill(variable.shape, number + 1), variable.dtype)
        variable.assign(fill_value)
    state.copy_to(spare)
    contents = []
    for name, saved in (("direct", state), ("copy", spare)):
        reader = tf.train.load_checkpoint(saved.checkpoint().write(str(tmp_path / name)))
        # The object graph has names that Keras makes unique within a process, so it differs.
        names = sorted(n for n in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in n)
        contents.append([(n, np.asarray(reader.get_tensor(n)).tobytes()) for n in names])
    assert contents[0] == contents[1]


def test_mirrored_state_is_saved_and_restored_through_a_plain_copy(config, tmp_path):
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        state = create_state(config)
    fill(state, 3)
    spare = create_state(config)
    state.copy_to(spare)
    assert all((value == 3).all() for value in values(spare))
    path = spare.checkpoint().write(str(tmp_path / "copy"))
    fill(state, 4)
    state.checkpoint().read(path).assert_consumed()
    assert all((value == 3).all() for value in values(state))


def test_one_save_is_in_progress_at_a_time(states, checkpoints):
    saver = make_saver(checkpoints, *states)
    saver.save(manifest_of(1), b"")
    assert not saver.settle(seconds=0.01)
    timer = threading.Timer(0.05, checkpoints.go.set)
    timer.start()
    saver.save(manifest_of(2), b"")
    assert saver.finish()
    assert saver.saved_step == 2


def test_copy_is_made_at_the_first_save_and_kept(states, checkpoints):
    made = []

    def make_spare():
        made.append(states[1])
        return states[1]

    saver = Saver(checkpoints, states[0], make_spare)
    assert made == []
    checkpoints.go.set()
    for step in (1, 2):
        saver.save(manifest_of(step), b"")
    assert saver.finish()
    assert made == [states[1]]


def test_failed_save_is_reported_and_the_next_one_succeeds(states, checkpoints, store, caplog):
    checkpoints.go.set()
    saver = make_saver(checkpoints, *states)
    scratch, store.scratch = store.scratch, raise_disk_full
    saver.save(manifest_of(1), b"")
    saver.settle()
    assert "step 1 was not saved, the last one is of step 0: the disk is full" in caplog.text
    store.scratch = scratch
    saver.save(manifest_of(2), b"")
    assert saver.finish()
    assert [m.step for m in ranked(store, "last")] == [2]


def raise_disk_full():
    raise UserError("the disk is full")


def test_failure_of_the_last_save_is_raised_once(states, checkpoints, store):
    checkpoints.go.set()
    saver = make_saver(checkpoints, *states)
    store.scratch = raise_disk_full
    saver.save(manifest_of(1), b"")
    with pytest.raises(UserError, match="full"):
        saver.finish()
    assert saver.finish()
    assert saver.saved_step == 0


@pytest.mark.parametrize("wait", [Saver.check, Saver.settle, Saver.finish])
def test_whatever_ends_a_save_is_raised(states, checkpoints, monkeypatch, wait):
    monkeypatch.setattr(checkpoints, "save", lambda *_: {}["bug"])
    saver = make_saver(checkpoints, *states)
    saver.save(manifest_of(1), b"")
    for thread in threading.enumerate():  # since `check` waits for no save
        if thread.name == SAVE_THREAD:
            thread.join()
    with pytest.raises(KeyError, match="bug"):
        wait(saver)


@pytest.mark.parametrize("cause", ["size", "folder"])
def test_save_that_the_disk_refuses_is_a_user_error(
    states, checkpoints, store, tmp_path, monkeypatch, limit_file_size, cause
):
    checkpoints.go.set()
    if cause == "folder":
        (tmp_path / "file").touch()
        below = tmp_path / "file" / "below"
        monkeypatch.setattr(store, "scratch", lambda: contextlib.nullcontext(below))
    else:
        limit_file_size(1000)
    saver = make_saver(checkpoints, *states)
    saver.save(manifest_of(1), b"line\n" * 1000)
    with pytest.raises(UserError, match=r"no checkpoint can be written \(.*\); "):
        saver.finish()


def test_superseded_start_is_reported_once_a_save_has_found_it(states, checkpoints, store):
    checkpoints.go.set()
    saver = make_saver(checkpoints, *states)
    saver.check()
    claims.take(store)
    saver.save(manifest_of(1), b"")
    with pytest.raises(Superseded):
        saver.settle()
    assert ranked(store, "last") == []
