"""A profile of some steps."""

import pytest
import tensorflow as tf

from storage import claims
from tests.conftest import small_config
from trainer.run.writers.profile import NoProfile, Profile


def start_profile(store, *steps):
    config = small_config()
    config.train.profile_steps = steps
    return Profile(store, claims.take(store), config)


def train(profile, calls):
    """Makes calls of (step, count); returns the names of operations that ran in each."""
    for step, count in calls:
        with profile.call(step, count):
            tf.linalg.matmul(tf.eye(3), tf.eye(3), name=f"call_{step}").numpy()


def files(store):
    return [name for name in store.list("tensorboard/") if name.endswith(".xplane.pb")]


def test_profile_is_in_the_folder_that_the_profiler_looks_in(store):
    profile = start_profile(store, 5, 6)
    train(profile, [(0, 4), (4, 4), (8, 4)])
    (name,) = files(store)
    assert name.startswith("tensorboard/plugins/profile/")
    assert len(name.split("/")) == 5
    assert b"MatMul" in store.read(name)


def test_profile_that_spans_calls_is_one(store):
    profile = start_profile(store, 3, 7)
    train(profile, [(0, 4)])
    assert files(store) == []
    train(profile, [(4, 4)])
    assert len(files(store)) == 1
    train(profile, [(8, 4)])
    profile.close()
    assert len(files(store)) == 1


@pytest.mark.parametrize("steps", [(), (1, 4), (9, 12)])
def test_other_steps_are_not_profiled(store, steps):
    profile = start_profile(store, *steps)
    train(profile, [(4, 4)])
    profile.close()
    assert store.list("tensorboard/") == []


def test_profile_whose_last_step_is_never_reached_ends_with_the_training(store):
    profile = start_profile(store, 3, 100)
    train(profile, [(0, 4)])
    profile.close()
    assert len(files(store)) == 1


def test_profile_that_runs_already_is_a_warning(store, caplog):
    tf.profiler.experimental.start("")
    try:
        train(start_profile(store, 1, 4), [(0, 4)])
    finally:
        tf.profiler.experimental.stop(save=False)
    assert "config.train.profile_steps: no profile is written" in caplog.text
    assert store.list("tensorboard/") == []


def test_worker_that_is_not_the_chief_profiles_nothing():
    profile = NoProfile()
    with profile.call(0, 4):
        pass
    profile.close()
