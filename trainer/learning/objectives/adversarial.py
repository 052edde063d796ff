"""Adversarial training: the label should also be found where reviews are perturbed for the worst.

term = Adversarial(loss, norm=5.0)      # a `Term`; see there

The perturbation of a review's embeddings goes along the gradient of its loss, which no other of
its norm raises more to first order (Miyato et al. 2017, arXiv:1605.07725, equation 5).
"""

from collections.abc import Callable

import tensorflow as tf

from input_pipeline.pipeline import Batch
from trainer.learning.objectives.perturbation import along
from trainer.model.dropout import DropoutKey
from trainer.model.network import Classifier

# Takes logits and a batch, and returns the sum of the loss and the number of reviews.
LabelLoss = Callable[[tf.Tensor, Batch], tuple[tf.Tensor, tf.Tensor]]


class Adversarial:
    """A `Term` of the labelled reviews; see there."""

    work = 2.0
    needs_label = True

    def __init__(self, loss: LabelLoss, norm: float):
        """`loss` is that of the classification, `norm` as in `perturbation.along`."""
        self._loss, self._norm = loss, norm

    def weight(self, batch: Batch) -> tf.Tensor:
        """Returns the number of labelled reviews <float32>[]."""
        return tf.reduce_sum(batch.labelled)

    def frozen(self, network: Classifier, batch: Batch, key: DropoutKey) -> tf.Tensor:
        """Returns the perturbation <float32>[batch, time, width]."""
        inputs = network.inputs(batch.tokens, key)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(inputs.embedded)
            total, _ = self._loss(network.logits(inputs, batch.lengths, key), batch)
        return along(tape.gradient(total, inputs.embedded), inputs.embedded, batch, self._norm)

    def shift(self, frozen: tf.Tensor) -> tf.Tensor:
        """Returns the perturbation."""
        return frozen

    def loss(self, logits: tf.Tensor, batch: Batch, frozen: tf.Tensor) -> tf.Tensor:
        """Returns the sum of the loss of the perturbed reviews."""
        return self._loss(logits, batch)[0]
