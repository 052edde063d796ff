"""Entropy minimisation: a classifier should be sure of each review, with a label or without.

term = Entropy()        # a `Term`; see there

The loss of a review is the entropy of its predicted probabilities (Grandvalet and Bengio 2004,
https://papers.nips.cc/paper/2740-semi-supervised-learning-by-entropy-minimization).
"""

import tensorflow as tf

from input_pipeline.pipeline import Batch
from trainer.learning.losses import log_probabilities
from trainer.model.dropout import DropoutKey
from trainer.model.network import Classifier


class Entropy:
    """A `Term`; see there."""

    work = 0.0
    needs_label = False

    def weight(self, batch: Batch) -> tf.Tensor:
        """Returns the number of all reviews <float32>[]."""
        return tf.reduce_sum(batch.weights)

    def frozen(self, network: Classifier, batch: Batch, key: DropoutKey) -> None:
        """Does nothing."""

    def shift(self, frozen: None) -> None:
        """Returns None: the embeddings stay as they are."""

    def loss(self, logits: tf.Tensor, batch: Batch, frozen: None) -> tf.Tensor:
        """Returns the sum of the entropies, in nats."""
        logarithms = log_probabilities(logits)
        entropies = -tf.reduce_sum(tf.exp(logarithms) * logarithms, axis=-1)
        return tf.reduce_sum(entropies * batch.weights)
