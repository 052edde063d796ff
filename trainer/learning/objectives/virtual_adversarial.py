"""Virtual adversarial training: what is predicted should not change where reviews are perturbed.

term = VirtualAdversarial(norm=5.0)     # a `Term`; see there

It needs no labels. The perturbation of a review's embeddings goes along the direction in which the
predicted probabilities change most, found by one step of the power method from a random direction
(Miyato et al. 2017, arXiv:1605.07725, equations 6 to 8). The loss of a review is the divergence
KL(p || q) of its probabilities q from those without the perturbation, p.
"""

from typing import NamedTuple

import tensorflow as tf

from input_pipeline.pipeline import Batch
from trainer.learning.losses import log_probabilities
from trainer.learning.objectives.perturbation import along, perturbed
from trainer.model.dropout import DropoutKey, gaussian
from trainer.model.network import Classifier

# The norm of the first, random perturbation, in the unit of `perturbation.along`.
_SMALL = 0.1


class _Frozen(NamedTuple):
    """What no gradient flows through."""

    logarithms: tf.Tensor  # of p, <float32>[batch, labels]
    perturbation: tf.Tensor  # <float32>[batch, time, width]


class VirtualAdversarial:
    """A `Term` of all reviews; see there."""

    work = 7 / 3  # once forward only, which is a third
    needs_label = False

    def __init__(self, norm: float):
        """`norm` is as in `perturbation.along`."""
        self._norm = norm

    def weight(self, batch: Batch) -> tf.Tensor:
        """Returns the number of all reviews <float32>[]."""
        return tf.reduce_sum(batch.weights)

    def frozen(self, network: Classifier, batch: Batch, key: DropoutKey) -> _Frozen:
        """Returns the probabilities and the perturbation."""
        inputs = network.inputs(batch.tokens, key)
        logarithms = log_probabilities(network.logits(inputs, batch.lengths, key))
        random = gaussian(key, tf.shape(batch.tokens)[1], inputs.embedded.shape[-1])
        start = along(random, inputs.embedded, batch, _SMALL)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(start)
            logits = network.logits(perturbed(inputs, start), batch.lengths, key)
            total = _divergence(logarithms, logits, batch)
        gradient = tape.gradient(total, start)
        return _Frozen(logarithms, along(gradient, inputs.embedded, batch, self._norm))

    def shift(self, frozen: _Frozen) -> tf.Tensor:
        """Returns the perturbation."""
        return frozen.perturbation

    def loss(self, logits: tf.Tensor, batch: Batch, frozen: _Frozen) -> tf.Tensor:
        """Returns the sum of the divergences, in nats."""
        return _divergence(frozen.logarithms, logits, batch)


def _divergence(logarithms: tf.Tensor, logits: tf.Tensor, batch: Batch) -> tf.Tensor:
    """Returns the sum of KL(p || q), given log p and the logits of q."""
    others = log_probabilities(logits)
    divergences = tf.reduce_sum(tf.exp(logarithms) * (logarithms - others), axis=-1)
    return tf.reduce_sum(divergences * batch.weights)
