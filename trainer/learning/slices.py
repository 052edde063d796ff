"""A replica's part of a batch in slices, the units that are computed at once.

    parts = slices_of(batch, config.train.slices)       # in a replica context
    sums = side_by_side(parts, compute)                 # what compute(part) returns, for each

A slice has the same rows of the global batch on any number of replicas, and so the same numbers.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import tensorflow as tf

from input_pipeline.pipeline import Batch
from storage.cores import usable_cores
from trainer.machines.strategy import runs_on_cpus

_Result = TypeVar("_Result")


class Slice(NamedTuple):
    """Some rows of a batch."""

    batch: Batch
    rows: tf.Tensor  # <int32>[batch], row numbers in the global batch


def of_all_replicas(slices: int, strategy: tf.distribute.Strategy) -> int:
    """Returns how many slices a batch has over all replicas; `slices` is `train.slices`."""
    replicas = strategy.num_replicas_in_sync
    chosen = 2 if replicas == 1 and runs_on_cpus(strategy) else replicas
    return slices or chosen


def slices_of(batch: Batch, slices: int) -> list[Slice]:
    """Returns the slices of a replica's part of a batch; `slices` is `train.slices`."""
    replica = tf.distribute.get_replica_context()
    reviews, replicas = batch.tokens.shape[0], replica.num_replicas_in_sync
    rows = tf.range(reviews) + replica.replica_id_in_sync_group * reviews
    here = max(1, of_all_replicas(slices, replica.strategy) // replicas)
    if here == 1 or reviews % here:
        return [Slice(batch, rows)]
    parts = (tf.split(values, here) for values in (*batch, rows))
    return [Slice(Batch(*values), rows) for *values, rows in zip(*parts, strict=True)]


def side_by_side(
    slices: Sequence[Slice], compute: Callable[[Slice], tuple[_Result, ...]]
) -> list[tuple[_Result, ...]]:
    """Computes slices at the same time on the cores of a CPU, elsewhere one after the other.

    So no more of them take memory at the same time than are worth it.
    """
    lanes = _lanes()
    done: list[tuple[_Result, ...]] = []
    for number, part in enumerate(slices):
        if number >= lanes:
            with tf.control_dependencies(tf.nest.flatten(done[number - lanes])[:1]):
                part = tf.nest.map_structure(tf.identity, part)
        done.append(compute(part))
    return done


def _lanes() -> int:
    """Returns how many slices a replica computes at the same time."""
    strategy = tf.distribute.get_strategy()
    if not runs_on_cpus(strategy):
        return 1
    several = strategy.num_replicas_in_sync > 1
    here = len(strategy.extended.worker_devices) if several else 1
    threads = tf.config.threading.get_inter_op_parallelism_threads() or usable_cores()
    return max(1, threads // here)
