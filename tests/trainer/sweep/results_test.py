"""Results of trials: read from what a run has left, kept, and cut at an epoch."""

import math

import pytest

from storage.errors import UserError
from storage.store import open_store
from tests.trainer.sweep import fake_run
from trainer.sweep import results
from trainer.sweep.results import Result
from trainer.sweep.trials import Trial

TRIAL = Trial("0000-seed=1", {"seed": 1})


def test_run_is_read_from_its_metrics_and_best_checkpoint(store):
    assert results.of_run(store, TRIAL) == Result(results.NOT_BEGUN, scores=[])
    fake_run.main(f"{store.url.rstrip('/')}/{TRIAL.folder}", "0.5,0.9,0.7")
    found = results.of_run(store, TRIAL)
    assert found == Result(results.UNFINISHED, 0.9, 20, [0.5, 0.9, 0.7], 180.0)
    assert results.current(store, [TRIAL]) == {TRIAL.name: found}


def test_kept_result_comes_back(store):
    assert results.kept(store, TRIAL) is None
    kept = Result(results.FAILED, 0.5, 20, [0.5, 0.4], 3.5, "no memory", 2)
    results.keep(store, TRIAL, kept)
    assert results.kept(store, TRIAL) == kept
    assert results.current(store, [TRIAL]) == {TRIAL.name: kept}
    results.keep(store, TRIAL, kept._replace(scores=[math.nan]))
    assert math.isnan(results.kept(store, TRIAL).scores[0])


def test_result_after_an_epoch_knows_nothing_later():
    found = Result(results.UNFINISHED, 0.9, 30, (0.5, math.nan, 0.9), 60.0)
    assert found.after(1) == Result(results.STOPPED_EARLY, 0.5, None, (0.5,), 60.0)
    assert found.after(3) == found._replace(state=results.STOPPED_EARLY)
    assert Result(results.UNFINISHED, scores=(math.nan,)).after(1).score is None


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"scores": [], "colour": 1}'])
def test_damaged_result_is_one_line(tmp_path, damage):
    store = open_store(str(tmp_path))
    store.write(f"results/{TRIAL.name}.json", damage)
    with pytest.raises(UserError, match="can't be read"):
        results.kept(store, TRIAL)
