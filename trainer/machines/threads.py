"""Numbers of TensorFlow's threads, chosen from the cores that this process may use.

    set_threads(config.strategy, on_cpus=True)      # before TensorFlow uses a device

TensorFlow has two pools of threads: one divides an operation among them (intra-op), one runs
operations side by side (inter-op). The operations of an LSTM's time step are so small that dividing
them costs more than it gains. So on CPUs an operation has one thread, and as many operations run
side by side as there are cores. That also makes the bits the same on machines with any number of
cores: an operation that is divided among four threads adds up in another order.

Workers that share a machine need no share of the cores each: how many operations are ready is
decided by the slices.
"""

import os

import ml_collections
import tensorflow as tf

from storage.cores import usable_cores
from storage.errors import UserError

_INTRA, _INTER = "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"


def set_threads(config: ml_collections.ConfigDict, on_cpus: bool) -> None:
    """Sets the numbers of threads that the `strategy` part of a config asks for.

    Where a field is 0, TF_NUM_INTRAOP_THREADS and TF_NUM_INTEROP_THREADS decide if they are set.
    Otherwise the numbers are chosen `on_cpus`, and TensorFlow's own with GPUs or a TPU. A chosen
    number yields to that of a TensorFlow which already runs. Raises UserError when one that is
    asked for differs from it.
    """
    threading = tf.config.threading
    for field, variable, chosen, set_number in (
        ("intra_op_threads", _INTRA, 1, threading.set_intra_op_parallelism_threads),
        ("inter_op_threads", _INTER, usable_cores(), threading.set_inter_op_parallelism_threads),
    ):
        # TensorFlow reads the variable only when no number is set.
        is_chosen = on_cpus and not os.environ.get(variable)
        number = config[field] or (chosen if is_chosen else 0)
        if not number:
            continue
        try:
            set_number(number)
        except RuntimeError as error:  # it already runs with another number
            if config[field]:
                raise UserError(
                    f"config.strategy.{field}: got {number}, but TensorFlow already runs with "
                    "another number of threads; start a new process"
                ) from error
