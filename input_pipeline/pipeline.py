"""Batches on their way to the replicas: a plan's rows, looked up, padded and prefetched.

dataset = batches(examples, plan, replicas=2)
for batch in dataset: ...      # the first half of row 0, its second half, the first of row 1...
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from input_pipeline.batch_plan import BatchPlan
from input_pipeline.examples import Examples
from input_pipeline.labels import NO_LABEL
from input_pipeline.vocabulary import PADDING

STEPS_AHEAD = 8


class Batch(NamedTuple):
    """One replica's slice of a step's batch. Rows without a review have weight 0 and length 1."""

    tokens: tf.Tensor  # ids <int32>[batch, time], padded at the right
    lengths: tf.Tensor  # <int32>[batch], tokens of each row
    labels: tf.Tensor  # their numbers <int32>[batch], NO_LABEL of a review without one
    weights: tf.Tensor  # <float32>[batch], 1.0 or 0.0

    @property
    def labelled(self) -> tf.Tensor:
        """Returns the weights <float32>[batch] with 0.0 for reviews without a label."""
        return tf.where(self.labels == NO_LABEL, 0.0, self.weights)


def batches(
    examples: Examples,
    plan: BatchPlan,
    replicas: int,
    first_step: int = 0,
    here: range | None = None,
) -> tf.data.Dataset:
    """Returns a dataset of `Batch`: from `first_step` on, a slice for each replica in turn.

    `here` are the replicas of this machine, by default all.
    """
    here = here or range(replicas)
    # Captured as tensors, of which the graph holds no copy.
    reviews, labels = examples.tokens, tf.constant(examples.labels)
    dataset = tf.data.Dataset.from_tensor_slices(slices(plan, replicas, first_step, here))
    dataset = dataset.map(lambda ids, width: lookup(reviews, labels, ids, width))
    dataset = dataset.prefetch(STEPS_AHEAD * len(here))
    # A batch takes half a millisecond, so tuning gains nothing. And the autotune thread can delay
    # the end of an epoch by tens of seconds, since it notices the end so late.
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def slices(
    plan: BatchPlan, replicas: int, first_step: int, here: range
) -> tuple[np.ndarray, np.ndarray]:
    """Returns review ids <int32>[slices, batch] and widths <int32>[slices] of the replicas `here`.

    There is a slice for each step from `first_step` on and each of these replicas.
    """
    size = plan.ids.shape[1] // replicas
    ids = plan.ids[first_step:].reshape(-1, replicas, size)[:, here.start : here.stop]
    return ids.reshape(-1, size), plan.widths[first_step:].repeat(len(here))


def lookup(reviews: tf.RaggedTensor, labels: tf.Tensor, ids: tf.Tensor, width: tf.Tensor) -> Batch:
    """Returns the batch of a slice.

    Args:
        reviews: token ids <integer>[reviews, (tokens)].
        labels: <int32>[reviews].
        ids: which reviews, <int32>[batch]; NO_REVIEW for an empty row.
        width: <int32>[], the tokens to pad to.
    """
    present = ids >= 0
    ids = tf.maximum(ids, 0)
    rows = tf.gather(reviews, ids)
    tokens = rows.to_tensor(PADDING, shape=tf.stack([ids.shape[0], width]))
    tokens = tf.ensure_shape(tf.cast(tokens, tf.int32), [ids.shape[0], None])
    return Batch(
        tokens=tf.where(present[:, None], tokens, PADDING),
        lengths=tf.where(present, tf.cast(rows.row_lengths(), tf.int32), 1),
        labels=tf.gather(labels, ids),
        weights=tf.cast(present, tf.float32),
    )
