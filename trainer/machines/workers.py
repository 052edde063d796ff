"""Collective calls between the workers of a job, beside the sums of gradients.

    workers = Workers(strategy)
    workers.is_chief
    workers.any(stop_requested)           # True on all workers when it is True on one
    workers.from_chief([400, 2])          # the chief's integers, on all workers

All workers must make the same calls in the same order: each call waits for all of them. With a
single process each call returns its argument.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

from trainer.machines import cluster

# What a worker's TensorFlow raises when another worker has ended or does not answer.
LOST_WORKER_ERRORS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)


class Workers:
    """The processes that train under one strategy."""

    def __init__(self, strategy: tf.distribute.Strategy):
        several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        this_cluster = cluster.from_environment() if several else None
        self.is_chief = this_cluster is None or this_cluster.is_chief
        self._sum = _sum_over_workers(strategy) if several else None

    def any(self, value: bool) -> bool:
        """Returns True on all workers when at least one of them gives True."""
        return bool(self._sum([int(value)])[0]) if self._sum else value

    def from_chief(self, numbers: Sequence[int]) -> list[int]:
        """Returns the numbers that the chief gives; those of the other workers are ignored.

        All workers give equally many, each within int64.
        """
        if not self._sum:
            return list(numbers)
        return self._sum([number if self.is_chief else 0 for number in numbers])


def _sum_over_workers(strategy: tf.distribute.Strategy) -> Callable[[Sequence[int]], list[int]]:
    """Returns a function from each worker's integers to their sums over the workers."""
    local_replicas = len(strategy.extended.worker_devices)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64)], autograph=False)
    def total(numbers: tf.Tensor) -> tf.Tensor:
        def replica(numbers: tf.Tensor) -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            # Only a worker's first replica contributes, so that each worker counts once.
            first = context.replica_id_in_sync_group % local_replicas == 0
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.where(first, numbers, 0))

        results = strategy.run(replica, (numbers,))
        return strategy.experimental_local_results(results)[0]

    return lambda numbers: total(tf.constant(numbers, tf.int64)).numpy().tolist()
