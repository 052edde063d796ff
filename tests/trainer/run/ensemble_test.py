"""A run of the tests together with one of version 0.1, of another network and vocabulary."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from input_pipeline.sources import sample_corpus
from storage.store import open_store
from tests.input_pipeline.sources.reading import complaint
from trainer.run.checkpoints import ranked
from trainer.run.ensemble import load_ensemble, load_members
from trainer.run.trained_network import load_predictor
from trainer.run.workdir import scoring_config

OLD = Path(__file__).parents[2] / "data" / "version_0_1" / "finished"
TEXTS = [text for text, _ in sample_corpus.reviews("test")[:40]] + ["", "word " * 200]


@pytest.fixture(scope="module")
def stores(finished):
    return [open_store(str(finished)), open_store(str(OLD))]


def ensemble_of(stores):
    return load_ensemble(scoring_config(stores[0], None), stores, "best", "predict")


def refusal(*workdirs, checkpoint="best"):
    stores = [open_store(str(workdir)) for workdir in workdirs]
    return complaint(load_members, scoring_config(stores[0], None), stores, checkpoint)


def alone(store):
    """The probabilities <float32>[texts, labels] of a run by itself."""
    config = scoring_config(store, None)
    predictor, _ = load_predictor(config, store, "best", "predict")
    return predictor.of_many(TEXTS, config.evaluation.batch_size, config.data.width_step)


def test_probabilities_are_the_mean_of_runs_with_their_own_networks_and_vocabularies(stores):
    ensemble = ensemble_of(stores)
    found = ensemble.probabilities(TEXTS)
    first, second = map(alone, stores)
    assert np.abs(first - second).max() > 0.01
    assert (found.shape, found.dtype) == ((len(TEXTS), 2), np.float32)
    np.testing.assert_allclose(found, (first + second) / 2, rtol=0, atol=1e-6)
    assert ensemble.labels.names == ("negative", "positive")
    one, other = (ranked(store, "best")[0] for store in stores)
    names = ("/".join(Path(store.url).parts[-2:]) for store in stores)  # both are `finished`
    known = (manifest.describe("accuracy") for manifest in (one, other))
    assert ensemble.describe() == "; ".join(map(": ".join, zip(names, known, strict=True)))
    assert ensemble.identity() == (
        f"step {one.step} ({one.digest:08x}), step {other.step} ({other.digest:08x})"
    )


def test_single_run_is_its_own_mean_to_the_bit(stores):
    ensemble = ensemble_of(stores[:1])
    assert ensemble.probabilities(TEXTS).tobytes() == alone(stores[0]).tobytes()
    assert ensemble.describe() == ranked(stores[0], "best")[0].describe("accuracy")


def test_request_to_stop_is_heard_within_a_text_window(stores):
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensemble_of(stores).probabilities(TEXTS, stop)


def test_others_take_reviews_batches_and_devices_from_the_first(stores):
    config = scoring_config(stores[0], None)
    config.evaluation.batch_size = 24
    _, other = load_members(config, stores, "best")
    own = scoring_config(stores[1], None)
    assert other.config.data.source == config.data.source != own.data.source
    assert other.config.data.max_tokens == own.data.max_tokens != config.data.max_tokens
    assert other.config.evaluation.batch_size == 24


def test_runs_with_other_labels_are_refused_by_name(workdir):
    (workdir / "labels.txt").write_text("positive\nnegative\n")
    assert refusal(OLD, workdir) == (
        f"--workdir: {workdir} has the labels 'positive' is 0, 'negative' is 1 (the positive one), "
        f"but {OLD} has 'negative' is 0, 'positive' is 1 (the positive one); give runs with the "
        "same labels in the same order"
    )


def test_run_given_twice_is_refused_whatever_its_path(finished, workdir):
    assert refusal(finished, OLD, finished) == (
        f"--workdir: the workdir '{finished}' is given twice; give each workdir once"
    )
    step = ranked(open_store(str(finished)), "best")[0].step
    assert refusal(finished, OLD, workdir) == (
        f"--workdir: {finished} and {workdir} hold the same checkpoint, step {step}; give each run "
        "once"
    )


def test_run_without_the_checkpoint_is_refused_by_name(finished, workdir):
    assert refusal(finished, OLD, checkpoint="60").startswith(f"--checkpoint: no step 60 in {OLD}")
    shutil.rmtree(workdir / "checkpoints")
    assert f"--workdir: {workdir} holds no checkpoint yet" in refusal(OLD, workdir)
