import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from trainer.learning.metrics import BINS, MetricSums, by_length, calibration


def test_groups_by_length_have_each_review_once():
    lengths = np.array([1, 64, 65, 512, 513, 2000])
    groups = [(bound, ids.tolist()) for bound, ids in by_length(lengths)]
    assert groups == [(64, [0, 1]), (128, [2]), (512, [3]), (None, [4, 5])]


def test_sums_are_divided_once():
    sums = MetricSums()
    assert not sums
    sums.add({"loss": (10.0, 4.0), "accuracy": (4.0, 4.0)})
    sums.add({"loss": (2.0, 1.0), "accuracy": (0.0, 1.0)})
    assert sums
    assert sums.means() == {"loss": 12 / 5, "accuracy": 4 / 5}


def test_sums_continue_from_their_pairs():
    sums = MetricSums()
    sums.add({"loss": (10.0, 4.0)})
    continued = MetricSums(sums.pairs())
    continued.add({"loss": (2.0, 1.0)})
    assert continued.pairs() == {"loss": (12.0, 5.0)}
    assert sums.pairs() == {"loss": (10.0, 4.0)}


def test_mean_without_weight_is_nan():
    assert np.isnan(MetricSums({"loss": (0.0, 0.0)}).means()["loss"])


@pytest.mark.parametrize("labels", [2, 5])
def test_calibration_is_scikit_learns_with_the_error_of_its_bins(labels):
    generator = np.random.default_rng(0)
    numbers = generator.integers(0, labels, 400)
    logits = generator.normal(np.eye(labels)[numbers], 1.0)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    result = calibration(shares, numbers)
    confidence, right = shares.max(axis=1), shares.argmax(axis=1) == numbers
    accuracy, mean = calibration_curve(right, confidence, n_bins=BINS)
    assert result.accuracy == pytest.approx(accuracy)
    assert result.confidence == pytest.approx(mean)
    assert result.counts.sum() == 400
    gaps = np.abs(accuracy - mean)
    assert result.error == pytest.approx((gaps * result.counts).sum() / 400)


def test_calibrated_predictions_have_no_error():
    result = calibration(np.full((40, 2), [0.25, 0.75]), np.array([1, 1, 1, 0] * 10))
    assert (result.error, result.counts.tolist()) == (0.0, [40])


def test_sure_predictions_are_off_by_the_mistakes():
    """Also a probability of 1 is in a bin."""
    result = calibration(np.float32([[1, 0], [0, 1], [1, 0], [1, 0]]), np.array([0, 1, 1, 0]))
    assert (result.error, result.counts.tolist()) == (0.25, [4])
