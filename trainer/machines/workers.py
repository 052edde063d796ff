"""What the workers of a job tell each other, beside gradients.

    workers = Workers(strategy)
    workers.is_chief
    workers.any(stop.requested)           # True on all when it is on one
    workers.from_chief([400, 2])          # the chief's integers, on all

In a job of one process these are what one puts in. Every worker has to ask the same in the same
order, since each answer takes them all.
"""

from collections.abc import Sequence

import tensorflow as tf

from trainer.machines import cluster

# What a worker gets when another one is gone or stands still.
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)


class Workers:
    """The processes of a strategy."""

    def __init__(self, strategy: tf.distribute.Strategy):
        several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        here = cluster.from_environment() if several else None
        self.is_chief = here is None or here.is_chief
        self._sum = _make_sum(strategy) if several else None

    def any(self, mine: bool) -> bool:
        """True on each worker when it is on at least one."""
        return bool(self._sum([int(mine)])[0]) if self._sum else mine

    def from_chief(self, numbers: Sequence[int]) -> list[int]:
        """The numbers that the chief has put in."""
        if not self._sum:
            return list(numbers)
        return self._sum([number if self.is_chief else 0 for number in numbers])


def _make_sum(strategy: tf.distribute.Strategy):
    """A function from each worker's integers to their sums over the workers."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64)], autograph=False)
    def total(numbers: tf.Tensor) -> tf.Tensor:
        def replica(numbers: tf.Tensor) -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            # Once for each worker, however many replicas it has.
            first = context.replica_id_in_sync_group % local == 0
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.where(first, numbers, 0))

        results = strategy.run(replica, (numbers,))
        return strategy.experimental_local_results(results)[0]

    local = len(strategy.extended.worker_devices)
    return lambda numbers: total(tf.constant(numbers, tf.int64)).numpy().tolist()
