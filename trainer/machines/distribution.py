"""Batches on their way to the replicas of a strategy.

    for batch in distribute(strategy, examples, plan): ...
    for batch in distribute_batches(strategy, epoch.batches, first_step): ...

Each step takes one element from the iterator and gives it to `strategy.run`.
"""

from collections.abc import Callable, Iterator
from functools import partial

import tensorflow as tf

from input_pipeline import pipeline
from input_pipeline.batch_plan import BatchPlan
from input_pipeline.examples import Examples
from input_pipeline.pipeline import Batch


def distribute(
    strategy: tf.distribute.Strategy, examples: Examples, plan: BatchPlan, first_step: int = 0
) -> Iterator[Batch]:
    """Returns an iterator over the steps of a plan from `first_step` on.

    Each element holds one `Batch` for each replica of this machine.
    """
    return distribute_batches(strategy, partial(pipeline.batches, examples, plan), first_step)


def distribute_batches(
    strategy: tf.distribute.Strategy,
    batches: Callable[[int, int, range], tf.data.Dataset],
    first_step: int = 0,
) -> Iterator[Batch]:
    """Returns an iterator over the steps of the dataset that `batches` makes.

    `batches` takes the number of all replicas, the first step and the range of the replicas on this
    machine; `pipeline.batches` says what its dataset holds.
    """
    replicas = strategy.num_replicas_in_sync

    def dataset(context: tf.distribute.InputContext) -> tf.data.Dataset:
        local_replicas = replicas // context.num_input_pipelines
        first = context.input_pipeline_id * local_replicas
        return batches(replicas, first_step, range(first, first + local_replicas))

    return iter(strategy.distribute_datasets_from_function(dataset))
