"""Classification of reviews into more than two labels, from one logit a label.

objective = Multiclass(labels, label_smoothing=0.0)
objective.evaluate(logits, reviews)     # {"loss": 1.1, "accuracy": 0.55, "macro_f1": 0.52, ...}
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from input_pipeline.examples import Examples
from trainer.learning.losses import cross_entropy
from trainer.learning.metrics import calibration, confusion
from trainer.learning.objectives.classification import Classification, confusion_lines, rounded


class Multiclass(Classification):
    """An `Objective`; it learns as `Classification` does, with a softmax over the labels."""

    def evaluate(self, outputs: np.ndarray, reviews: Examples) -> dict[str, float]:
        """Returns metrics of logits <float32>[reviews, labels].

        They are loss, accuracy, macro F1 and the error of `calibration`. Macro F1 is the mean over
        the labels that are among the reviews or the predictions.
        """
        losses = -_log_softmax(outputs)[np.arange(len(outputs)), reviews.labels]
        matrix = confusion(reviews.labels, outputs.argmax(axis=1), len(self._labels))
        hits, seen = matrix.diagonal(), matrix.sum(axis=0) + matrix.sum(axis=1)
        return {
            "loss": float(losses.mean()),
            "accuracy": float(hits.sum() / matrix.sum()),
            "macro_f1": float((2 * hits[seen > 0] / seen[seen > 0]).mean()),
            "calibration_error": calibration(self.probabilities(outputs), reviews.labels).error,
        }

    def probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """Returns the softmax <float32>[reviews, labels] of logits <float32>[reviews, labels]."""
        return rounded(np.exp(_log_softmax(outputs)), outputs.argmax(axis=1))

    def averaged(self, outputs: Sequence[np.ndarray]) -> np.ndarray:
        """Returns the logarithms <float32>[reviews, labels] of the mean softmax of such logits."""
        logs = np.logaddexp.reduce([_log_softmax(logits) for logits in outputs])
        return (logs - np.log(len(outputs))).astype(np.float32)

    def tables(self, outputs: np.ndarray, reviews: Examples) -> list[str]:
        """Returns the lines of the confusion matrix: a row a label, a column a prediction."""
        matrix = confusion(reviews.labels, outputs.argmax(axis=1), len(self._labels))
        return confusion_lines(matrix, self._labels.names)

    _loss = staticmethod(cross_entropy)

    @staticmethod
    def _predicted(logits: tf.Tensor) -> tf.Tensor:
        """Returns the predicted labels <int32>[batch]."""
        return tf.argmax(logits, axis=-1, output_type=tf.int32)


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    """Returns the logarithms <float64>[n, labels] of the softmax of logits <float32>[n, labels]."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
