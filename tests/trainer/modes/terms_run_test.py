"""A run with reviews without labels and all loss terms, which join in the second epoch."""

import shutil

import pytest

from input_pipeline.sources import sample_corpus
from tests.trainer.modes.runs import lines, start
from tests.trainer.moved_runs import resumed_on_replicas

TERMS = ("adversarial", "virtual_adversarial", "entropy")


@pytest.fixture(scope="module")
def terms_config(run_config, reviews, tmp_path_factory):
    folder = tmp_path_factory.mktemp("terms") / "reviews"
    shutil.copytree(reviews, folder)
    (folder / "unsup").mkdir()
    for number, (text, _) in enumerate(sample_corpus.reviews("unlabelled")[:100]):
        (folder / "unsup" / f"{number}.txt").write_text(text)
    config = run_config.copy_and_resolve_references()
    config.data.update(source=f"files:{folder}", unlabelled_split="unsup", unlabelled_batch_size=8)
    config.objective.terms.update(dict.fromkeys(TERMS, 0.5))
    config.objective.update(terms_after_epochs=1, perturbation=0.5)
    config.train.update(slices=2, histograms=False, profile_steps=())
    return config


@pytest.fixture(scope="module")
def ended(terms_config, tmp_path_factory):
    """The workdir of an uninterrupted run. Tests must not change it."""
    folder = tmp_path_factory.mktemp("terms") / "run"
    start(terms_config, folder)
    return folder


def test_terms_are_in_the_metrics_from_the_epoch_in_which_they_join(ended):
    first, second = lines(ended, "epoch")
    assert not set(TERMS) & set(first)
    factors = {"classification": 1.0, **dict.fromkeys(TERMS, 0.5)}
    total = sum(factor * second[name] for name, factor in factors.items())
    assert second["loss"] == pytest.approx(total, rel=0.02)  # means over other reviews


def test_resumed_run_on_two_replicas_has_the_same_bits(terms_config, ended, tmp_path):
    assert resumed_on_replicas(2, terms_config, ended, tmp_path / "run")
