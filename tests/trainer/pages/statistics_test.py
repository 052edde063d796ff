import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from trainer.pages import statistics


@pytest.fixture(scope="module")
def scored():
    """400 rounded scores, many of them equal, and which of them are positive."""
    generator = np.random.default_rng(0)
    positive = generator.integers(0, 2, 400) == 1
    return np.round(generator.beta(2 + 2 * positive, 4 - 2 * positive), 2), positive


@pytest.fixture(scope="module")
def shares():
    """Probabilities of four labels for 300 reviews, none of which has the last label."""
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 3, 300)
    logits = generator.normal(np.eye(4)[labels], 1.0)
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), labels


def test_roc_is_scikit_learns(scored):
    scores, positive = scored
    curve = statistics.roc(scores, positive)
    x, y, _ = metrics.roc_curve(positive, scores, drop_intermediate=False)
    assert curve.x == pytest.approx(x)
    assert curve.y == pytest.approx(y)
    expected = metrics.roc_auc_score(positive, scores)
    assert statistics.area_under(curve) == pytest.approx(expected, abs=1e-12)


def test_precision_recall_is_scikit_learns(scored):
    scores, positive = scored
    curve = statistics.precision_recall(scores, positive)
    precision, recall, _ = metrics.precision_recall_curve(positive, scores)
    assert curve.x == pytest.approx(recall[:-1][::-1])  # from the highest threshold on
    assert curve.y == pytest.approx(precision[:-1][::-1])
    expected = metrics.average_precision_score(positive, scores)
    assert statistics.average_precision(curve) == pytest.approx(expected, abs=1e-12)


def test_macro_area_is_scikit_learns_over_the_labels_that_occur(shares):
    probabilities, labels = shares
    areas = [metrics.roc_auc_score(labels == n, probabilities[:, n]) for n in range(3)]
    assert statistics.macro_area(probabilities, labels) == pytest.approx(np.mean(areas))


def test_macro_roc_is_the_mean_curve_of_the_labels_that_occur(shares):
    probabilities, labels = shares
    curve = statistics.macro_roc(probabilities, labels)
    assert (curve.x[0], curve.x[-1], curve.y[-1]) == (0.0, 1.0, 1.0)
    assert (np.diff(curve.y) >= 0).all()
    assert statistics.area_under(curve) == pytest.approx(
        statistics.macro_area(probabilities, labels), abs=2e-3
    )


def test_one_label_has_no_curve():
    probabilities, labels = np.full((5, 3), 1 / 3), np.zeros(5, int)
    assert np.isnan(statistics.macro_area(probabilities, labels))
    assert np.isnan(statistics.macro_roc(probabilities, labels).y).all()
    assert np.isnan(statistics.area_under(statistics.roc(probabilities[:, 0], labels == 0)))


@pytest.mark.parametrize(("right", "count"), [(0, 10), (10, 10), (7, 10), (870, 1000), (1, 1)])
def test_wilson_interval_is_scipys(right, count):
    expected = stats.binomtest(right, count).proportion_ci(method="wilson")
    assert statistics.wilson(right, count) == pytest.approx(tuple(expected), abs=1e-6)


def test_interval_of_nothing_is_everything():
    assert statistics.wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((10, 10), (0, 10), (0.6075, 1.0)),
    ],
)
def test_interval_of_a_difference_is_that_of_newcombes_table(first, second, expected):
    parts = [np.arange(count) < right for right, count in (first, second)]
    assert statistics.difference(*parts) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(("both", "first", "second"), [(50, 4, 15), (90, 5, 5), (0, 0, 9)])
def test_mcnemar_is_scipys_exact_test_of_the_discordant_reviews(both, first, second):
    one = np.array([True] * both + [True] * first + [False] * second)
    other = np.array([True] * both + [False] * first + [True] * second)
    result = statistics.mcnemar(one, other)
    assert (result.first_only, result.second_only) == (first, second)
    expected = stats.binomtest(first, first + second).pvalue
    assert result.p_value == pytest.approx(expected)
    assert result.low < result.difference < result.high


def test_equal_predictions_differ_by_nothing():
    right = np.array([True, False, True])
    result = statistics.mcnemar(right, right)
    assert (result.p_value, result.difference) == (1.0, 0.0)
    assert result.low < 0.0 < result.high


def test_interval_of_a_difference_covers_it_in_about_95_of_100_samples():
    generator = np.random.default_rng(0)
    both, first, second = 0, 1, 2  # who is right; 3 is nobody
    outcomes = generator.choice(4, size=(1000, 300), p=[0.7, 0.1, 0.06, 0.14])
    results = [
        statistics.mcnemar(np.isin(row, (both, first)), np.isin(row, (both, second)))
        for row in outcomes
    ]
    covered = sum(result.low <= 0.06 - 0.1 <= result.high for result in results)
    assert 930 <= covered <= 970
