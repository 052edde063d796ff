"""A collective operation for shapes that differ between steps.

    parts = gather(tf.zeros([7]))             # in a replica context; <float32>[replicas, 7]
    parts = gather(tf.range(n), rows=n)       # <int32>[replicas, n]

TensorFlow's own `all_gather` of a replica context remembers the shape of a loop's first step, and
stops at another one. Here the shape is a part of the operation's key.
"""

from collections import Counter

import tensorflow as tf

# The replicas are a group of their own here, apart from the strategy's.
_GROUP = 1_000_000
# Operations are numbered by replica. All replicas make the same ones in the same order, so that the
# n-th of each are one collective call. A key is the number and the rows of the values.
_made: Counter[tuple[int, int]] = Counter()
_ROWS = 2**21


def gather(values: tf.Tensor, rows: tf.Tensor | int = 0) -> tf.Tensor:
    """Returns the values of all replicas [replicas, *shape], in an order that is always the same.

    `values` have one shape on all replicas. Their first dimension may differ between steps; it is
    then given as `rows` <int32>[], below 2**21.
    """
    replica = tf.distribute.get_replica_context()
    replicas = replica.num_replicas_in_sync
    if replicas == 1:
        return values[tf.newaxis]
    place = replicas, int(tf.get_static_value(replica.replica_id_in_sync_group))
    _made[place] += 1
    # Names the replica's device: only operations with the same token wait for each other.
    token = tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[], shared_name=f"replica {place[1]}")
    gathered = tf.raw_ops.CollectiveGatherV2(
        input=values,
        group_size=replicas,
        group_key=_GROUP + replicas,
        instance_key=_made[place] * _ROWS + rows,
        ordering_token=[token],
    )
    return tf.reshape(gathered, tf.concat([[replicas], tf.shape(values)], axis=0))
