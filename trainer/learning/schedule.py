"""Schedules: the learning rate of a step and of a layer, and what is due after a step.

rate = learning_rate(step, config.optimizer, total_steps=1080)
rate_of_layer(rate, depth=2, config=config.optimizer)
updates_of_layer(updates, depth=2, config=config.optimizer)    # negative while it is frozen
due(step=400, every=200)    # True
"""

import math

import ml_collections
import tensorflow as tf


def learning_rate(
    step: tf.Tensor, config: ml_collections.ConfigDict, total_steps: int
) -> tf.Tensor:
    """Returns the learning rate <float32>[] of a step <int64>[], counted from 0.

    It grows linearly from 0 over the warm-up, then is constant or falls along half a cosine to 0 at
    `total_steps` (Loshchilov and Hutter 2017, arXiv:1608.03983, equation 5). `config` is the
    `optimizer` part.
    """
    step = tf.cast(step, tf.float32)
    warmup = float(config.warmup_steps)
    rate = tf.constant(config.learning_rate, tf.float32)
    if config.schedule == "cosine":
        progress = (step - warmup) / max(total_steps - warmup, 1.0)
        rate *= 0.5 * (1.0 + tf.cos(math.pi * tf.clip_by_value(progress, 0.0, 1.0)))
    if warmup:
        rate *= tf.minimum((step + 1.0) / warmup, 1.0)
    return rate


def rate_of_layer(rate: tf.Tensor, depth: int, config: ml_collections.ConfigDict) -> tf.Tensor:
    """Returns the learning rate <float32>[] of the layer that is `depth` layers below the head.

    It is the head's rate times `layer_decay` for each layer in between (Howard and Ruder 2018,
    arXiv:1801.06146, section 3.2, where the decay is 1 / 2.6).
    """
    return rate * config.layer_decay**depth if config.layer_decay != 1.0 else rate


def updates_of_layer(
    updates: tf.Tensor, depth: int, config: ml_collections.ConfigDict
) -> tf.Tensor:
    """Returns how often the layer that is `depth` layers below the head was updated <int64>[].

    It joins the training after `unfreeze_steps` for each layer above it, and the number is negative
    until then (the same paper, section 3.3, with an epoch for each layer). `updates` <int64>[] are
    those of the head. They are the steps, apart from those that float16 skips: these train nothing,
    so the layer below does not come closer by them.
    """
    return updates - depth * config.unfreeze_steps if config.unfreeze_steps else updates


def due(step: int, every: int) -> bool:
    """Returns True after each `every` steps; never when `every` is 0."""
    return every > 0 and step % every == 0


def steps_until(step: int, every: int) -> int:
    """Returns the steps from `step` to the next due one; a large number when `every` is 0."""
    return every - step % every if every else 2**31 - 1
