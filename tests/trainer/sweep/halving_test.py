"""Successive halving: who goes on, and that a verdict stays."""

import math

import numpy as np
import pytest

from storage.errors import UserError
from storage.store import open_store
from trainer.sweep.halving import REDUCTION, Halving, is_among_best, rungs
from trainer.sweep.trials import Trial


def trial(number):
    return Trial(f"{number:04}-seed={number}", {"seed": number})


def test_rungs_are_powers():
    assert list(rungs(30)) == [1, 3, 9, 27]
    assert list(rungs(27)) == [1, 3, 9, 27]
    assert list(rungs(0)) == []


def test_best_third_is_numpys():
    scores = np.random.default_rng(0).permutation(40) / 40
    for count in range(1, 41):
        *others, score = scores[:count]
        place = np.argsort(-scores[:count]).tolist().index(count - 1)  # 0 is the best
        assert is_among_best(score, others) == (place < math.ceil(count / REDUCTION))


def test_equal_scores_go_on():
    assert is_among_best(0.5, [0.5] * 10)


def test_trials_are_judged_in_the_order_of_their_coming(tmp_path):
    halving = Halving(open_store(str(tmp_path)))
    assert halving.stopped_after(trial(0), [0.5], epochs=10) is None  # alone
    assert halving.stopped_after(trial(1), [0.4], epochs=10) == 1  # not the best of two
    assert halving.stopped_after(trial(2), [0.6], epochs=10) is None
    assert halving.stopped_after(trial(3), [0.55], epochs=10) is None  # the second of four
    assert halving.stopped_after(trial(2), [0.6, 0.6, 0.7], epochs=10) is None
    assert halving.stopped_after(trial(3), [0.55, 0.7, 0.65, 0.9], epochs=10) == 3


def test_verdict_stays_after_a_restart_whatever_comes_later(store):
    before = Halving(store)
    assert before.stopped_after(trial(0), [0.5], epochs=10) is None
    assert before.stopped_after(trial(1), [0.4], epochs=10) == 1
    for number in range(2, 9):
        before.stopped_after(trial(number), [0.9], epochs=10)
    after = Halving(store)
    assert after.stopped_after(trial(0), [0.5], epochs=10) is None
    assert after.stopped_after(trial(1), [0.4], epochs=10) == 1
    assert after.stopped_after(trial(9), [0.6], epochs=10) == 1  # the others' scores are known


def test_trial_is_not_stopped_after_its_last_epoch(tmp_path):
    halving = Halving(open_store(str(tmp_path)))
    halving.stopped_after(trial(0), [0.9], epochs=10)
    assert halving.stopped_after(trial(1), [0.1], epochs=1) is None


def test_score_that_is_not_finite_is_the_worst(store):
    halving = Halving(store)
    assert halving.stopped_after(trial(0), [math.nan], epochs=10) is None
    assert halving.stopped_after(trial(1), [0.1], epochs=10) is None
    assert halving.stopped_after(trial(2), [math.nan], epochs=10) == 1
    assert Halving(store).stopped_after(trial(2), [math.nan], epochs=10) == 1


def test_damaged_verdict_is_one_line(tmp_path):
    store = open_store(str(tmp_path))
    store.write(f"rungs/1/{trial(0).name}.json", b"{}")
    with pytest.raises(UserError, match="can't be read"):
        Halving(store).stopped_after(trial(0), [0.5], epochs=10)
