"""Adam and AdamW, for gradients that are summed, tested for finiteness and clipped already.

    with strategy.scope():
        optimizer = Adam(variables, config.optimizer)
    optimizer.update(variables, gradients, learning_rate)      # in a replica, the same on all

Keras's optimizers clip before they sum over the replicas, which makes the result depend on the
number of replicas. This optimizer leaves both to the training step.
"""

import ml_collections
import tensorflow as tf


class Adam(tf.Module):
    """The optimizer of Kingma and Ba 2015, arXiv:1412.6980, algorithm 1, and its moments."""

    def __init__(self, variables: list[tf.Variable], config: ml_collections.ConfigDict):
        super().__init__()
        self._config = config
        self.updates = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.first = [_zeros_like(variable) for variable in variables]
        self.second = [_zeros_like(variable) for variable in variables]

    def update(
        self, variables: list[tf.Variable], gradients: list[tf.Tensor], learning_rate: tf.Tensor
    ) -> None:
        """Updates the variables with dense gradients, in a replica context.

        Writes through the replica's own handles: the replicas hold equal values and get equal
        gradients, so they stay equal without any communication.
        """
        config = self._config
        number = tf.cast(self.updates + 1, tf.float32)
        for variable, first, second, gradient in zip(
            variables, self.first, self.second, gradients, strict=True
        ):
            if config.name == "adamw" and config.weight_decay and len(variable.shape) > 1:
                # Decoupled decay (Loshchilov and Hutter 2019, arXiv:1711.05101); not of biases.
                tf.raw_ops.AssignSubVariableOp(
                    resource=variable.handle,
                    value=variable * (learning_rate * config.weight_decay),
                )
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=first.handle,
                v=second.handle,
                beta1_power=tf.pow(config.beta1, number),
                beta2_power=tf.pow(config.beta2, number),
                lr=learning_rate,
                beta1=config.beta1,
                beta2=config.beta2,
                epsilon=config.epsilon,
                grad=gradient,
            )
        increment(self.updates)


def increment(counter: tf.Variable) -> None:
    """Adds 1 to an <int64>[] variable, on each replica separately."""
    tf.raw_ops.AssignAddVariableOp(resource=counter.handle, value=tf.constant(1, tf.int64))


def _zeros_like(variable: tf.Variable) -> tf.Variable:
    return tf.Variable(tf.zeros(variable.shape), trainable=False)
