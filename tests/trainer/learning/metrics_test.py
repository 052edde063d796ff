import numpy as np

from trainer.learning.metrics import MetricSums, by_length


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
