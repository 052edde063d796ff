"""Adam and AdamW, for gradients that are summed, tested for finiteness and clipped already.

    with strategy.scope():
        optimizer = Adam(network.weights, config.optimizer)
    # In a replica, the same on all:
    gradients = optimizer.of_trained(gradients, network.depths)
    optimizer.update(network.weights, gradients, network.depths, network.biases, learning_rate)

Keras's optimizers clip before they sum over the replicas, which makes the result depend on the
number of replicas. This optimizer leaves both to the training step.

A layer that joins the training late (`unfreeze_steps`) begins as if training began: its moments are
still zero, since it had no gradients, and their bias is corrected by the number of its own updates.
That follows from the number of all updates, so no layer needs a counter. Corrected by the number of
all updates, the first steps of a layer would be up to seven times as long as the learning rate.
"""

from collections.abc import Sequence

import ml_collections
import tensorflow as tf

from trainer.learning import schedule


class Adam(tf.Module):
    """The optimizer of Kingma and Ba 2015, arXiv:1412.6980, algorithm 1, and its moments."""

    def __init__(self, variables: list[tf.Variable], config: ml_collections.ConfigDict):
        super().__init__()
        self._config = config
        self.updates = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.first = [_zeros_like(variable) for variable in variables]
        self.second = [_zeros_like(variable) for variable in variables]

    def of_trained(self, gradients: list[tf.Tensor], depths: Sequence[int]) -> list[tf.Tensor]:
        """Returns the gradients with zeros in place of those of layers that are still frozen.

        They take no part in the gradient's norm, nor does it matter whether they are finite.
        """
        if not self._config.unfreeze_steps:
            return gradients
        joined = [schedule.updates_of_layer(self.updates, d, self._config) >= 0 for d in depths]
        return [tf.where(j, g, tf.zeros_like(g)) for j, g in zip(joined, gradients, strict=True)]

    def update(
        self,
        variables: Sequence[tf.Variable],
        gradients: Sequence[tf.Tensor],
        depths: Sequence[int],
        biases: Sequence[bool],
        learning_rate: tf.Tensor,
    ) -> None:
        """Updates the variables with dense gradients, in a replica context.

        Writes through the replica's own handles: the replicas hold equal values and get equal
        gradients, so they stay equal without any communication.

        Args:
            variables: the weights.
            gradients: one for each, of `of_trained`.
            depths: how many layers below the head each weight is.
            biases: which weights are biases, which don't decay.
            learning_rate: the head's <float32>[].
        """
        config = self._config
        steps = {depth: self._step(depth, learning_rate) for depth in sorted(set(depths))}
        for variable, first, second, gradient, depth, is_bias in zip(
            variables, self.first, self.second, gradients, depths, biases, strict=True
        ):
            number, rate = steps[depth]
            if config.name == "adamw" and config.weight_decay and not is_bias:
                # Decoupled decay (Loshchilov and Hutter 2019, arXiv:1711.05101).
                tf.raw_ops.AssignSubVariableOp(
                    resource=variable.handle,
                    value=variable * (rate * config.weight_decay),
                )
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=first.handle,
                v=second.handle,
                beta1_power=tf.pow(config.beta1, number),
                beta2_power=tf.pow(config.beta2, number),
                lr=rate,
                beta1=config.beta1,
                beta2=config.beta2,
                epsilon=config.epsilon,
                grad=gradient,
            )
        increment(self.updates)

    def _step(self, depth: int, learning_rate: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the number of a layer's next update, from 1, and its learning rate <float32>[].

        The rate of a frozen layer is 0, so that its weights don't decay either.
        """
        updates = schedule.updates_of_layer(self.updates, depth, self._config)
        number = tf.cast(updates + 1, tf.float32)
        rate = schedule.rate_of_layer(learning_rate, depth, self._config)
        if not self._config.unfreeze_steps:
            return number, rate
        return tf.maximum(number, 1.0), tf.where(updates >= 0, rate, 0.0)


def increment(counter: tf.Variable) -> None:
    """Adds 1 to an <int64>[] variable, on each replica separately."""
    tf.raw_ops.AssignAddVariableOp(resource=counter.handle, value=tf.constant(1, tf.int64))


def _zeros_like(variable: tf.Variable) -> tf.Variable:
    return tf.Variable(tf.zeros(variable.shape), trainable=False)
