"""Classification of reviews into two labels, from one logit a review.

objective = Classification(labels, label_smoothing=0.0)
objective.evaluate(logits, reviews)     # {"loss": 0.31, "accuracy": 0.88, "auc": 0.95, ...}

`multiclass` is the same for more labels.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import ml_collections
import numpy as np
import tensorflow as tf

from input_pipeline.examples import Examples
from input_pipeline.labels import Labels
from input_pipeline.pipeline import Batch
from trainer.learning import text_table
from trainer.learning.kernel_choice import choose_kernel
from trainer.learning.losses import binary_cross_entropy
from trainer.learning.metrics import area_under_roc, calibration, confusion
from trainer.learning.objectives.objective import Sums
from trainer.model.dropout import DropoutKey
from trainer.model.network import Classifier


class Classification:
    """An `Objective`; see there."""

    terms: Mapping[str, float] = MappingProxyType({"classification": 1.0})
    train_metrics: tuple[str, ...] = ("accuracy",)
    score = "accuracy"

    def __init__(self, labels: Labels, label_smoothing: float):
        """`label_smoothing` is that of `losses`."""
        self._labels = labels
        self._label_smoothing = label_smoothing

    def network(self, config: ml_collections.ConfigDict, vocabulary_size: int) -> Classifier:
        """Creates the classifier of a whole config."""
        kernel = choose_kernel(config.model.kernel)
        labels = len(self._labels)
        return Classifier(config.model, vocabulary_size, labels, config.seed, kernel)

    def weights(self, batch: Batch) -> tf.Tensor:
        """Returns the number of reviews <float32>[1]."""
        return tf.reduce_sum(batch.weights)[None]

    def frozen(self, network: Classifier, batch: Batch, key: DropoutKey) -> None:
        """Does nothing: the loss has no part without a gradient."""

    def sums(self, network: Classifier, batch: Batch, key: DropoutKey, frozen: None) -> Sums:
        """Sums up the cross-entropy, and the reviews whose label the logits give."""
        logits = network.logits(network.inputs(batch.tokens), batch.lengths, dropout=key)
        loss, weight = self._loss(logits, batch.labels, batch.weights, self._label_smoothing)
        right = tf.cast(self._predicted(logits) == batch.labels, tf.float32)
        accuracy = (tf.reduce_sum(batch.weights * right), weight)
        return Sums(losses=loss[None], metrics={"accuracy": accuracy})

    def outputs(self, network: Classifier, batch: Batch) -> tf.Tensor:
        """Returns the logits <float32>[batch], of more than two labels <float32>[batch, labels]."""
        return network.logits(network.inputs(batch.tokens), batch.lengths)

    def evaluate(self, outputs: np.ndarray, reviews: Examples) -> dict[str, float]:
        """Returns metrics of logits <float32>[reviews].

        They are loss, accuracy, AUC, precision, recall, F1 and the error of `calibration`. A metric
        is nan where it is not defined, as the AUC of reviews of one label.
        """
        logits, positive = outputs.astype(np.float64), reviews.labels == 1
        found = logits > 0
        hits = float((found & positive).sum())
        losses = np.maximum(logits, 0) - logits * positive + np.log1p(np.exp(-np.abs(logits)))
        return {
            "loss": float(losses.mean()),
            "accuracy": float((found == positive).mean()),
            "auc": area_under_roc(logits, positive),
            "precision": _ratio(hits, found.sum()),
            "recall": _ratio(hits, positive.sum()),
            "f1": _ratio(2 * hits, found.sum() + positive.sum()),
            "calibration_error": calibration(self.probabilities(outputs), reviews.labels).error,
        }

    def probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """Returns the probability of each label <float32>[reviews, 2] of logits <float32>[reviews].

        The second is the logit's sigmoid.
        """
        return rounded(np.exp(_log_probabilities(outputs)), (outputs > 0).astype(int))

    def averaged(self, outputs: Sequence[np.ndarray]) -> np.ndarray:
        """Returns the log-odds <float32>[reviews] of the mean probability of logits of that shape.

        A mean of 0 or 1 is not rounded to on the way: all is computed with logarithms.
        """
        logs = np.logaddexp.reduce([_log_probabilities(logits) for logits in outputs])
        return (logs[:, 1] - logs[:, 0]).astype(np.float32)

    def tables(self, outputs: np.ndarray, reviews: Examples) -> list[str]:
        """Returns the lines of the confusion matrix: a row a label, a column a prediction."""
        return confusion_lines(confusion(reviews.labels, outputs > 0, 2), self._labels.names)

    _loss = staticmethod(binary_cross_entropy)

    @staticmethod
    def _predicted(logits: tf.Tensor) -> tf.Tensor:
        """Returns the predicted labels <int32>[batch]."""
        return tf.cast(logits > 0, tf.int32)


def rounded(probabilities: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Returns probabilities <float64>[reviews, labels] as <float32>.

    That of the predicted label <int>[reviews] stays the largest where rounding makes others equal.
    """
    shares = probabilities.astype(np.float32)
    tied = np.flatnonzero(shares.argmax(axis=1) != predicted)
    shares[tied, predicted[tied]] = np.nextafter(shares[tied].max(axis=1), np.float32(1))
    return shares


def confusion_lines(matrix: np.ndarray, names: Sequence[str]) -> list[str]:
    """Returns a confusion matrix <int>[labels, labels] as text, with a head and a row a label."""
    rows = [("predicted:", *names)]
    rows += [(name, *map(str, counts)) for name, counts in zip(names, matrix, strict=True)]
    return text_table.lines(rows)


def _log_probabilities(logits: np.ndarray) -> np.ndarray:
    """Returns the logarithms <float64>[n, 2] of both labels' probabilities of <float32>[n]."""
    return -np.logaddexp(0.0, logits.astype(np.float64)[:, None] * (1.0, -1.0))


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
