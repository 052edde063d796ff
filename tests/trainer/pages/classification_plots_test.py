"""Figures and tables of a test, whose numbers are scikit-learn's."""

import numpy as np
import pytest
from sklearn import metrics

from input_pipeline.labels import SENTIMENTS, Labels
from tests.trainer.run.results import random_results, results_of
from trainer.learning.metrics import calibration
from trainer.pages import classification_plots, statistics

STARS = Labels(("1", "2", "3", "4"))


def texts(table):
    return [[cell.text for cell in row] for row in table.rows]


@pytest.mark.parametrize("labels", [SENTIMENTS, STARS])
def test_table_by_label_is_scikit_learns(labels):
    results = random_results(len(labels), 300)
    expected = metrics.precision_recall_fscore_support(results.labels, results.predicted)
    *scores, reviews = expected
    said = np.bincount(results.predicted, minlength=len(labels))
    rows = [[cell.value for cell in row[1:]] for row in
            classification_plots.by_label(results, labels).rows]  # fmt: skip
    assert np.array(rows) == pytest.approx(np.column_stack([reviews, said, *scores]))


def test_label_that_is_never_predicted_has_no_precision():
    shares = np.float32([[0.9, 0.1], [0.8, 0.2]])
    results = results_of(probabilities=shares, labels=np.int32([0, 1]))
    assert texts(classification_plots.by_label(results, SENTIMENTS))[1] == [
        *("positive", "1", "0", "-", "0.000", "0.000")
    ]


def test_figures_of_two_labels_say_scikit_learns_areas():
    results = random_results(2, 300)
    positive, scores = results.labels == 1, results.probabilities[:, 1]
    drawings = {
        drawing.title: drawing for drawing in classification_plots.plots(results, SENTIMENTS)
    }
    area = metrics.roc_auc_score(positive, scores)
    precision = metrics.average_precision_score(positive, scores)
    assert f"Area {area:.4f}" in drawings["ROC"].caption
    assert f"Average precision {precision:.4f}" in drawings["Precision and recall"].caption
    error = calibration(results.probabilities, results.labels).error
    assert f"error {error:.3f}, with 15 bins" in drawings["Calibration"].caption
    right = metrics.accuracy_score(results.labels, results.predicted)
    assert f"{right:.1%} of the reviews" in drawings["Confusion matrix"].svg
    for cell in metrics.confusion_matrix(results.labels, results.predicted).ravel():
        assert f">{cell:,}</text>" in drawings["Confusion matrix"].svg


def test_figures_of_more_labels_are_means_over_labels():
    results = random_results(4, 300)
    drawings = {drawing.title: drawing for drawing in classification_plots.plots(results, STARS)}
    assert "Precision and recall" not in drawings
    area = metrics.roc_auc_score(results.labels, results.probabilities, multi_class="ovr")
    assert f"Mean area {area:.4f}" in drawings["ROC, mean over labels"].caption
    assert "probability of the predicted label" in drawings["Calibration"].svg


def test_256_labels_have_a_heat_map_of_ordinary_size():
    labels = Labels(tuple(f"label {number}" for number in range(256)))
    results = random_results(256, 3000)
    drawings = classification_plots.plots(results, labels)
    assert len(drawings[0].svg) < 300_000
    assert "<image" in drawings[0].svg


def test_test_of_one_label_says_what_is_not_defined():
    results = results_of(labels=np.int32([0, 0, 0]))
    drawings = {d.title: d for d in classification_plots.plots(results, SENTIMENTS)}
    assert "Area not defined: the reviews have one label" in drawings["ROC"].caption


def test_accuracy_by_length_has_wilson_intervals():
    results = random_results(2, 400)
    short = results.lengths <= 64
    right = (results.predicted == results.labels)[short]
    low, high = statistics.wilson(int(right.sum()), len(right))
    first = texts(classification_plots.by_length_table(results))[0]
    accuracy = right.mean()
    assert first == ["up to 64", str(len(right)), f"{accuracy:.1%}", f"{low:.1%}", f"{high:.1%}"]


def test_names_with_markup_and_mathematics_are_text():
    results = random_results(2, 20)
    drawing = classification_plots.plots(results, Labels(("<b>", r"$\foo$")))[0]
    assert "&lt;b&gt;" in drawing.svg
    assert r"$\foo$" in drawing.svg
