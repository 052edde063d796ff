import numpy as np
import pytest
import tensorflow as tf
from sklearn import metrics

from input_pipeline.examples import Examples
from input_pipeline.labels import SENTIMENTS
from trainer.learning.metrics import calibration
from trainer.learning.objectives.classification import Classification


def evaluate(logits, labels):
    """Metrics by name of one logit and one label for each review."""
    tokens = tf.RaggedTensor.from_row_lengths(tf.ones(len(labels), tf.int32), [1] * len(labels))
    reviews = Examples(tokens, np.asarray(labels, np.int32))
    return Classification(SENTIMENTS, label_smoothing=0.0).evaluate(np.float32(logits), reviews)


@pytest.fixture(scope="module")
def rounded():
    """500 labels and logits, many of them equal, some of them 0."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 500)
    logits = np.round(generator.normal(labels - 0.5, 1.5), 1).astype(np.float32)
    assert (logits == 0).sum() >= 5
    return logits, labels


def test_loss_accuracy_and_auc_agree_with_scikit_learn(rounded):
    logits, labels = rounded
    result = evaluate(logits, labels)
    assert result["auc"] == pytest.approx(metrics.roc_auc_score(labels, logits), abs=1e-12)
    probabilities = 1 / (1 + np.exp(-logits))
    assert result["loss"] == pytest.approx(metrics.log_loss(labels, probabilities), abs=1e-6)
    assert result["accuracy"] == pytest.approx(((logits > 0) == labels).mean())


def scikit_learn_scores(logits, labels):
    """Precision, recall and F1; a logit of 0 is a probability of one half, so not positive."""
    found = np.asarray(logits) > 0
    return {
        "precision": metrics.precision_score(labels, found, zero_division=np.nan),
        "recall": metrics.recall_score(labels, found, zero_division=np.nan),
        "f1": metrics.f1_score(labels, found, zero_division=np.nan),
    }


def test_precision_recall_and_f1_agree_with_scikit_learn(rounded):
    result = evaluate(*rounded)
    for name, expected in scikit_learn_scores(*rounded).items():
        assert result[name] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("logits", "labels", "undefined"),
    [
        ([-1, -2, 0], [1, 0, 1], {"precision"}),  # no review is predicted to be positive
        ([-1, 2, 0], [0, 0, 0], {"recall"}),  # no review is positive
        ([-1, -2, 0], [0, 0, 0], {"precision", "recall", "f1"}),
    ],
)
def test_precision_recall_and_f1_are_nan_where_they_are_undefined(logits, labels, undefined):
    result, expected = evaluate(logits, labels), scikit_learn_scores(logits, labels)
    assert {name for name in expected if np.isnan(result[name])} == undefined
    for name in expected.keys() - undefined:
        assert result[name] == expected[name]


def test_calibration_error_is_that_of_the_predicted_labels(rounded):
    logits, labels = rounded
    positive = 1 / (1 + np.exp(-logits.astype(np.float64)))
    expected = calibration(np.stack([1 - positive, positive], axis=1), labels).error
    assert evaluate(logits, labels)["calibration_error"] == pytest.approx(expected, abs=1e-6)


def test_auc_of_reviews_with_one_label_is_nan():
    assert np.isnan(evaluate([1, 1, 1], [1, 1, 1])["auc"])


def test_probabilities_are_those_of_both_labels_also_for_large_logits():
    outputs = np.float32([0.0, 2.0, -800.0, 800.0])
    shares = Classification(SENTIMENTS, 0.0).probabilities(outputs)
    assert (shares.shape, shares.dtype) == ((4, 2), np.float32)
    sigmoid = 1 / (1 + np.exp(-2.0))
    assert shares[:, 1] == pytest.approx([0.5, sigmoid, 0.0, 1.0])
    assert shares.sum(axis=1) == pytest.approx(np.ones(4))


def test_logit_next_to_zero_has_the_label_that_the_accuracy_counts():
    shares = Classification(SENTIMENTS, 0.0).probabilities(np.float32([1e-9, -1e-9, 0.0]))
    assert shares.argmax(axis=1).tolist() == [1, 0, 0]
    assert shares == pytest.approx(np.full((3, 2), 0.5))


def test_average_has_the_mean_probabilities():
    objective, generator = Classification(SENTIMENTS, 0.0), np.random.default_rng(0)
    each = generator.normal(0, 3, (3, 50)).astype(np.float32)
    averaged = objective.averaged(list(each))
    assert (averaged.shape, averaged.dtype) == ((50,), np.float32)
    mean = np.mean([objective.probabilities(logits) for logits in each], axis=0)
    assert objective.probabilities(averaged) == pytest.approx(mean, abs=1e-6)
    assert objective.averaged([each[0]]) == pytest.approx(each[0], rel=1e-6)


def test_average_of_probabilities_that_round_to_0_or_1_is_finite():
    """Of two sure networks the surer one does not win; of two that agree the mean is as sure."""
    sure, surer = np.float32([200, 200, -200]), np.float32([-200, 300, -300])
    averaged = Classification(SENTIMENTS, 0.0).averaged([sure, surer])
    log_of_two = np.log(2)
    assert averaged == pytest.approx([0.0, 200 + log_of_two, -200 - log_of_two], abs=1e-4)
