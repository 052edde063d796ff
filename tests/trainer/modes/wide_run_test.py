"""A run whose network has a wide part and other ingredients: from its start to an export."""

import numpy as np
import pytest
import tensorflow as tf

from configs.schema.stored import stored_config
from storage.store import open_store
from tests.trainer.modes.runs import start, tensors
from tests.trainer.moved_runs import resumed_on_replicas
from trainer.modes.export import export
from trainer.run.trained_network import load_predictor

TEXTS = ["A wonderful film, from beginning to end.", "The film was dull.", "qwertz"]


@pytest.fixture(scope="module")
def wide_config(run_config):
    config = run_config.copy_and_resolve_references()
    config.model.update(wide_buckets=2**12, wide_dropout=0.3, word_dropout=0.1)
    config.model.update(embedding_dropout=0.1, recurrent_dropout=0.3)
    config.model.update(pooling="attention", segment_tokens=16, segment_overlap=4)
    config.train.update(slices=4, average_decay=0.9, histograms=False, profile_steps=())
    return config


@pytest.fixture(scope="module")
def ended(wide_config, tmp_path_factory):
    """The workdir of an uninterrupted run. Tests must not change it."""
    folder = tmp_path_factory.mktemp("wide") / "run"
    start(wide_config, folder)
    return folder


def test_resumed_run_on_four_replicas_has_the_same_bits(wide_config, ended, tmp_path):
    assert resumed_on_replicas(4, wide_config, ended, tmp_path / "run")


def test_ratios_are_made_once_and_are_a_part_of_the_checkpoint(ended):
    first, last = tensors(ended, 60), tensors(ended)
    (name,) = (name for name in first if "model/wide/ratios" in name)
    assert first[name] == last[name]
    ratios = np.frombuffer(last[name], np.float32)
    assert 0 < np.count_nonzero(ratios) <= 2**12


def test_export_says_what_the_predictor_says(ended, tmp_path):
    store = open_store(str(ended))
    export(stored_config(store), store, "best", open_store(str(tmp_path)))
    exported = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    predictor, _ = load_predictor(stored_config(store), store, "best", "predict")
    expected = predictor(tf.constant(TEXTS))
    found = exported(text=tf.constant(TEXTS))["probabilities"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_wide_part_learns_with_the_rest(ended):
    """Its weights begin at 0; those of phrases that no review has stay there."""
    (learned,) = (values for name, values in tensors(ended).items() if _is_wide_weight(name))
    changed = np.count_nonzero(np.frombuffer(learned, np.float32))
    assert 0 < changed < 2**12


def _is_wide_weight(name):
    return name.startswith("model/wide/layer/") and "OPTIMIZER_SLOT" not in name
