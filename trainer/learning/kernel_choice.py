"""Chooses the kernel of a network's LSTM layers by what the strategy runs on.

with strategy.scope():
    network = Classifier(config.model, vocabulary_size, labels, seed, choose_kernel("auto"))
"""

import tensorflow as tf

from trainer.machines.strategy import needs_static_shapes, runs_on_cpus
from trainer.model.kernels import KERNELS, Kernel


def choose_kernel(name: str) -> Kernel:
    """Returns the kernel that `model.kernel` names; 'auto' depends on the strategy in scope."""
    if name == "auto":
        strategy = tf.distribute.get_strategy()
        static = needs_static_shapes(strategy)
        # On GPUs Keras's layers reach cuDNN.
        name = "xla" if static else "cpu" if runs_on_cpus(strategy) else "keras"
    return KERNELS[name]
