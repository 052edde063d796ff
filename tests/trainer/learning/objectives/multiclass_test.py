import numpy as np
import pytest
import tensorflow as tf
from sklearn import metrics

from input_pipeline.examples import Examples
from input_pipeline.labels import SENTIMENTS, Labels
from trainer.learning.metrics import calibration
from trainer.learning.objectives.multiclass import Multiclass
from trainer.learning.objectives.registry import create_objective

STARS = Labels(("1", "2", "3", "4"))


def reviews_with(labels):
    tokens = tf.RaggedTensor.from_row_lengths(tf.ones(len(labels), tf.int32), [1] * len(labels))
    return Examples(tokens, np.asarray(labels, np.int32))


@pytest.fixture(scope="module")
def scored():
    """300 reviews with the labels 0 to 2 of 4, and logits that favour them."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 300)
    logits = generator.normal(np.eye(4)[labels], 1.0).astype(np.float32)
    return logits, reviews_with(labels)


def test_metrics_agree_with_scikit_learn(scored):
    logits, reviews = scored
    result = Multiclass(STARS, 0.0).evaluate(logits, reviews)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    predicted, labels = logits.argmax(axis=1), reviews.labels
    assert result == pytest.approx(
        {
            "loss": metrics.log_loss(labels, shares, labels=range(4)),
            "accuracy": metrics.accuracy_score(labels, predicted),
            "macro_f1": metrics.f1_score(labels, predicted, average="macro"),
            "calibration_error": calibration(shares, labels).error,
        },
        abs=1e-6,
    )


def test_table_is_the_confusion_matrix(scored):
    logits, reviews = scored
    head, *rows = Multiclass(STARS, 0.0).tables(logits, reviews)
    assert head.split() == ["predicted:", "1", "2", "3", "4"]
    expected = metrics.confusion_matrix(reviews.labels, logits.argmax(axis=1), labels=range(4))
    assert [row.split() for row in rows] == [
        [name, *map(str, counts)] for name, counts in zip(STARS.names, expected, strict=True)
    ]


@pytest.mark.parametrize(("labels", "units"), [(SENTIMENTS, 1), (STARS, 4)])
def test_network_has_a_logit_a_label_but_one_for_two(config, labels, units):
    objective = create_objective(config, labels)
    network = objective.network(config, 10)
    assert network.head.units == units
    inputs = network.inputs(tf.constant([[2, 3], [4, 0]]))
    shares = network.probabilities(inputs, tf.constant([2, 1])).numpy()
    assert shares.shape == (2, len(labels))
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    logits = network.logits(inputs, tf.constant([2, 1])).numpy()
    likelier = logits > 0 if units == 1 else logits.argmax(axis=1)
    assert shares.argmax(axis=1).tolist() == likelier.astype(int).tolist()


def test_probabilities_are_the_softmax_also_of_large_logits():
    outputs = np.float32([[0, 1, 2, 3], [900, 900, -900, 0]])
    shares = Multiclass(STARS, 0.0).probabilities(outputs)
    assert (shares.shape, shares.dtype) == ((2, 4), np.float32)
    assert shares == pytest.approx(tf.nn.softmax(outputs).numpy(), abs=1e-6)


def test_logits_next_to_each_other_have_the_label_that_the_accuracy_counts():
    outputs = np.float32([[0, 1e-9, -1], [0, 1, 1]])
    labels = Multiclass(STARS, 0.0).probabilities(outputs).argmax(axis=1)
    assert labels.tolist() == outputs.argmax(axis=1).tolist() == [1, 1]


def test_average_has_the_mean_probabilities_also_of_large_logits(scored):
    logits, _ = scored
    sure = np.float32([[900, 0, -900, 0]] * len(logits))
    objective = Multiclass(STARS, 0.0)
    each = [logits, logits[::-1], sure]
    averaged = objective.averaged(each)
    assert (averaged.shape, averaged.dtype) == (logits.shape, np.float32)
    assert np.isfinite(averaged).all()
    mean = np.mean([tf.nn.softmax(one).numpy() for one in each], axis=0)
    assert objective.probabilities(averaged) == pytest.approx(mean, abs=1e-6)
