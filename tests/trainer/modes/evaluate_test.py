"""The printed result of mode `evaluate`: for logits that are given, and for the mean of runs."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from sklearn import metrics

from input_pipeline.examples import Examples
from input_pipeline.labels import SENTIMENTS
from input_pipeline.sources import sample_corpus
from storage.store import open_store
from tests.trainer.modes.runs import call
from tests.trainer.run.manifests import manifest_of
from trainer.learning.objectives.registry import create_objective
from trainer.modes import evaluate
from trainer.modes.evaluate import run_test
from trainer.run.ensemble import load_ensemble
from trainer.run.workdir import scoring_config

OLD = Path(__file__).parents[2] / "data" / "version_0_1" / "finished"


def test_result_is_printed_in_total_and_by_length_with_each_review_once(config, capsys):
    config.data.update(source="sample", test_split="test")
    lengths = np.array([1, 64, 65, 512, 513, 2000])
    logits = np.array([1, -1, 1, 1, 1, 1], np.float32)
    tokens = tf.RaggedTensor.from_row_lengths(tf.ones(lengths.sum(), tf.int32), lengths)
    reviews = Examples(tokens, np.array([1, 1, 1, 1, 1, 0], np.int32))

    def score(shortened, width_step):
        assert shortened.lengths.max() == config.data.max_tokens
        assert width_step == config.data.width_step
        return logits

    objective = create_objective(config, SENTIMENTS)
    run_test(config.data, reviews, objective, score, manifest_of(4, score=0.75))
    error = abs(1 / (1 + np.exp(-1.0)) - 4 / 6)  # all probabilities are equal
    loss = (np.log1p(np.exp(-1.0)) * 4 + np.log1p(np.exp(1.0)) * 2) / 6
    assert capsys.readouterr().out.splitlines() == [
        f"Test on 6 reviews of sample, test: loss {loss:.4f}, auc 0.4000, precision 0.8000, "
        f"recall 0.8000, f1 0.8000, calibration_error {error:.4f}",
        "   up to 64 tokens:      2 reviews, accuracy 0.500",
        "  up to 128 tokens:      1 reviews, accuracy 1.000",
        "  up to 512 tokens:      1 reviews, accuracy 1.000",
        "       more tokens:      2 reviews, accuracy 0.500",
        "  predicted:  negative  positive",
        "  negative           0         1",
        "  positive           1         4",
        "Test Accuracy: 0.667",
        "Checkpoint: step 4, validation accuracy 0.750",
    ]


def positive(stores, texts):
    """Returns the probability <float64>[texts] of the positive label, a mean over the runs."""
    ensemble = load_ensemble(scoring_config(stores[0], None), stores, "best", "predict")
    return ensemble.probabilities(texts)[:, 1].astype(np.float64)


def test_mean_of_runs_is_tested_beside_each_of_them(finished, capsys):
    """The other run has another vocabulary, and was trained on other reviews."""
    store, other = open_store(str(finished)), open_store(str(OLD))
    evaluate.run(call(finished, others=[other]))
    printed = capsys.readouterr()
    texts, labels = map(np.array, zip(*sample_corpus.reviews("test")[:60], strict=True))
    each = [positive(stores, texts) for stores in ([store], [other], [store, other])]
    head, *rows = (line.split() for line in printed.out.splitlines()[1:5])
    names = [f"{finished.parent.name}/finished", "version_0_1/finished", "mean"]
    assert [row[0] for row in rows] == names
    for row, shares in zip(rows, each, strict=True):
        found = dict(zip(head[1:], map(float, row[1:]), strict=True))
        assert found["loss"] == pytest.approx(metrics.log_loss(labels, shares), abs=1e-4)
        assert found["accuracy"] == pytest.approx(((shares > 0.5) == labels).mean(), abs=1e-4)
        assert found["auc"] == pytest.approx(metrics.roc_auc_score(labels, shares), abs=1e-4)
    lines = printed.out.splitlines()
    assert lines[0] == f"The mean of 2 runs, on the reviews that the config of {names[0]} names"
    source = scoring_config(store, None).data.source
    assert lines[5].startswith(f"Test on 60 reviews of {source}, test: loss {rows[-1][1]}, auc ")
    assert lines[-2] == f"Test Accuracy: {float(rows[-1][2]):.3f}"
    assert lines[-1].startswith(f"Checkpoint: {names[0]}: step ")
    assert printed.err == (
        f"WARNING: {OLD} was trained on shards:shards; this is a test on {source}\n"
    )
