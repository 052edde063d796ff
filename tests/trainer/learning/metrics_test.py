import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from trainer.learning.metrics import Sums, evaluate


def test_evaluation_agrees_with_scikit_learn():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 500)
    logits = np.round(generator.normal(labels - 0.5, 1.5), 1).astype(np.float32)  # with ties
    result = evaluate(logits, labels, np.full(500, 10))
    assert result.auc == pytest.approx(roc_auc_score(labels, logits), abs=1e-12)
    assert result.loss == pytest.approx(log_loss(labels, 1 / (1 + np.exp(-logits))), abs=1e-6)
    assert result.accuracy == pytest.approx(((logits > 0) == labels).mean())


def test_evaluation_by_length_counts_each_review_once():
    lengths = np.array([1, 64, 65, 512, 513, 2000])
    logits = np.array([1, -1, 1, 1, 1, 1], np.float32)
    result = evaluate(logits, np.array([1, 1, 1, 1, 1, 0]), lengths)
    assert result.by_length == ((64, 2, 0.5), (128, 1, 1.0), (512, 1, 1.0), (None, 2, 0.5))


def test_auc_of_one_class_is_no_number():
    assert np.isnan(evaluate(np.ones(3, np.float32), np.ones(3, int), np.ones(3)).auc)


def test_sums_are_divided_once():
    sums = Sums()
    sums.add(loss_sum=10.0, weight=4.0, correct=4.0)
    sums.add(loss_sum=2.0, weight=1.0, correct=0.0)
    assert sums.loss == 12 / 5
    assert sums.accuracy == 4 / 5
