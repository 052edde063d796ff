"""Classification of reviews into two labels, from one logit a review.

objective = Classification(labels, label_smoothing=0.0)
objective.evaluate(logits, reviews)     # {"loss": 0.31, "accuracy": 0.88, "auc": 0.95, ...}

`multiclass` is the same for more labels. Other loss terms, such as `adversarial`, can join.
"""

import copy
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

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
from trainer.learning.objectives.perturbation import perturbed
from trainer.learning.objectives.term import Term
from trainer.model.dropout import DropoutKey
from trainer.model.network import Classifier, Inputs

_Self = TypeVar("_Self", bound="Classification")


class Classification:
    """An `Objective`; see there."""

    terms: Mapping[str, float] = MappingProxyType({"classification": 1.0})
    train_metrics: tuple[str, ...] = ("accuracy",)
    score = "accuracy"
    work = 1.0
    labelled_only = True

    def __init__(self, labels: Labels, label_smoothing: float):
        """`label_smoothing` is that of `losses`."""
        self._labels = labels
        self._label_smoothing = label_smoothing
        self._others: tuple[Term, ...] = ()
        self._first_epoch, self._alone = 0, self

    def with_terms(self: _Self, terms: Mapping[str, tuple[float, Term]], first_epoch: int) -> _Self:
        """Returns this objective with other terms, by name with their factors, beside its own.

        They join in the epoch `first_epoch`, counted from 0.
        """
        objective = copy.copy(self)
        factors = {name: factor for name, (factor, _) in terms.items()}
        objective.terms = MappingProxyType({**self.terms, **factors})
        objective._others = tuple(term for _, term in terms.values())
        objective.work = self.work + sum(term.work for _, term in terms.values())
        objective.labelled_only = all(term.needs_label for term in objective._others)
        objective._first_epoch, objective._alone = first_epoch, self
        return objective

    def at_epoch(self, epoch: int) -> "Classification":
        """Returns the objective of an epoch, counted from 0."""
        return self._alone if epoch < self._first_epoch else self

    def network(self, config: ml_collections.ConfigDict, vocabulary_size: int) -> Classifier:
        """Creates the classifier of a whole config."""
        kernel = choose_kernel(config.model.kernel)
        labels = len(self._labels)
        return Classifier(config.model, vocabulary_size, labels, config.seed, kernel)

    def weights(self, batch: Batch) -> tf.Tensor:
        """Returns the number of reviews that each term is of <float32>[terms]."""
        others = (term.weight(batch) for term in self._others)
        return tf.stack([tf.reduce_sum(batch.labelled), *others])

    def frozen(self, network: Classifier, batch: Batch, key: DropoutKey) -> tuple:
        """Returns what the other terms freeze."""
        return tuple(term.frozen(network, batch, key) for term in self._others)

    def sums(self, network: Classifier, batch: Batch, key: DropoutKey, frozen: tuple) -> Sums:
        """Sums up the cross-entropy and other terms, and the reviews that the logits get right."""
        shifts = [term.shift(part) for term, part in zip(self._others, frozen, strict=True)]
        logits, *shifted = _all_logits(network, batch, key, [s for s in shifts if s is not None])
        loss, weight = self.loss(logits, batch)
        right = tf.cast(self._predicted(logits) == batch.labels, tf.float32)
        accuracy = (tf.reduce_sum(batch.labelled * right), weight)
        others = [
            term.loss(logits if shift is None else shifted.pop(0), batch, part)
            for term, shift, part in zip(self._others, shifts, frozen, strict=True)
        ]
        return Sums(losses=tf.stack([loss, *others]), metrics={"accuracy": accuracy})

    def loss(self, logits: tf.Tensor, batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the sum of the cross-entropy of the labelled reviews, and their number."""
        return self._loss(logits, batch.labels, batch.labelled, self._label_smoothing)

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


def _all_logits(
    network: Classifier, batch: Batch, key: DropoutKey, shifts: Sequence[tf.Tensor]
) -> list[tf.Tensor]:
    """Returns the logits of a batch, and for each shift those of its shifted embeddings.

    They are computed as one larger batch: that is faster, and each weight has one gradient.
    TensorFlow's optimiser would add several in an order of its own.
    """
    inputs = network.inputs(batch.tokens, dropout=key)
    if not shifts:
        return [network.logits(inputs, batch.lengths, dropout=key)]
    count = 1 + len(shifts)
    shift = tf.concat([tf.zeros_like(shifts[0]), *shifts], axis=0)
    wide = None if inputs.wide is None else _repeated(inputs.wide, count)
    repeated = Inputs(_repeated(inputs.embedded, count), wide)
    key = DropoutKey(key.bits, tf.tile(key.rows, [count]))
    lengths = tf.tile(batch.lengths, [count])
    return tf.split(network.logits(perturbed(repeated, shift), lengths, dropout=key), count)


def _repeated(values: tf.Tensor, count: int) -> tf.Tensor:
    """Returns values [batch, time, width] that many times, one after the other along the batch.

    The gradient of `tf.tile` would transpose integers, and oneDNN prints an error about that.
    """
    batch, time, width = (values.shape[axis] or tf.shape(values)[axis] for axis in range(3))
    copies = tf.broadcast_to(values, [count, batch, time, width])
    return tf.reshape(copies, [count * batch, time, width])


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
