"""The `tf.distribute` strategy of a run, and what it means for batches and the loop over steps.

    strategy = make_strategy(config)      # before TensorFlow uses a device
    with strategy.scope(): ...

`distribution.py` brings batches to the strategy's replicas.
"""

import contextlib
import functools
import math
import signal
from collections.abc import Iterator

import ml_collections
import tensorflow as tf

from configs.schema import rules
from storage.early_signals import SIGNALS
from storage.errors import UserError
from trainer.machines import cluster, devices, lost_machines, rendezvous, threads
from trainer.machines.cluster import Cluster
from trainer.machines.preemption import Stopped
from trainer.machines.workers import LOST_WORKER_ERRORS

# How long workers that are all there may take to connect; longer with GPUs, whose initialization
# is a part of it.
_SECONDS_TO_CONNECT, _SECONDS_TO_CONNECT_GPUS = 25, 120
_SECONDS_TO_STOP = 5  # for a process that has waited too long


def make_strategy(config: ml_collections.ConfigDict) -> tf.distribute.Strategy:
    """Returns the strategy of a whole config, on the devices that this process finds.

    With several workers it waits for all of them. Raises UserError when the machines do not fit the
    `strategy` part or TF_CONFIG, and when the replicas do not divide the batches; Stopped when a
    worker does not come in time, and when a worker or a TPU's machine is lost meanwhile.
    """
    strategy = _make_strategy(config.strategy)
    rules.check_replicas(config, strategy.num_replicas_in_sync)
    return strategy


def strategy_name(name: str, gpus: int, virtual_devices: int, workers: int, tpus: int = 0) -> str:
    """Returns the name of the strategy that `auto` stands for; other names are returned as given.

    A pure function of the numbers of devices and workers.
    """
    if name != "auto":
        return name
    if tpus:
        return "tpu"
    if workers > 1:
        return "multi_worker"
    return "mirrored" if gpus > 1 or virtual_devices > 1 else "default"


def device_count(kind: str = "CPU") -> int:
    """Returns how many physical devices of a kind, such as "GPU", the machine has.

    The first call initializes TensorFlow's platforms.
    """
    return len(tf.config.list_physical_devices(kind))


def needs_static_shapes(strategy: tf.distribute.Strategy) -> bool:
    """Returns True when XLA compiles the steps, which it does for each shape of a batch."""
    return isinstance(strategy, tf.distribute.TPUStrategy)


def runs_on_cpus(strategy: tf.distribute.Strategy) -> bool:
    """Returns True when the replicas are on CPUs, since there is no accelerator."""
    return not needs_static_shapes(strategy) and not device_count("GPU")


def reduces_in_tree(config: ml_collections.ConfigDict, strategy: tf.distribute.Strategy) -> bool:
    """Returns True when replicas add up in a fixed order; see `strategy.reduction` of a config."""
    return config.strategy.reduction == "tree" and not needs_static_shapes(strategy)


def static_widths(
    config: ml_collections.ConfigDict, strategy: tf.distribute.Strategy
) -> tuple[int, ...]:
    """Returns the widths, in tokens, of all batches that a config allows.

    Returns an empty tuple when the strategy does not need static shapes. Raises UserError when
    there are more widths than a TPU should compile programs for.
    """
    if not needs_static_shapes(strategy):
        return ()
    rules.check_widths(config)
    return rules.static_widths(config.data)


@functools.cache  # it may ask a Google service
def loop_device(strategy: tf.distribute.Strategy) -> str | None:
    """Returns the device on which the loop over steps runs; None means this machine.

    It is a machine of the TPU when the TPU is on other machines than this process.
    """
    resolver = strategy.cluster_resolver
    if not isinstance(resolver, tf.distribute.cluster_resolver.TPUClusterResolver):
        return None
    return f"/job:{resolver.get_job_name()}/task:0" if resolver.master() else None


def _make_strategy(config: ml_collections.ConfigDict) -> tf.distribute.Strategy:
    """Returns the strategy of the `strategy` part of a config."""
    gpus, this_cluster = device_count("GPU"), cluster.from_environment()
    workers = len(this_cluster.addresses) if this_cluster else 1
    name = strategy_name(config.name, gpus, config.virtual_devices, workers, device_count("TPU"))
    if (name == "multi_worker") != (workers > 1):
        raise UserError(
            f"config.strategy.name: got {config.name!r}, but TF_CONFIG names {workers} worker(s); "
            "accepted is 'multi_worker' for several workers and another name for one, or 'auto'"
        )
    if name != "tpu":
        devices.require_accelerators(config.accelerators, gpus, "GPUs")
    threads.set_threads(config, on_cpus=name != "tpu" and not gpus)
    if config.virtual_devices:
        if gpus or workers > 1:
            raise UserError(
                f"config.strategy.virtual_devices: got {config.virtual_devices}, but there are "
                f"{gpus} GPUs and {workers} worker(s); accepted is 0 unless one worker runs "
                "without GPUs"
            )
        _split_cpu(config.virtual_devices)
    if this_cluster:
        rendezvous.wait_for_all(this_cluster, config.connect_seconds)
        return _multi_worker_strategy(this_cluster, gpus)
    if name == "tpu":
        strategy = _tpu_strategy(config.tpu, config.connect_seconds)
        cores = strategy.num_replicas_in_sync
        devices.require_accelerators(config.accelerators, cores, "TPU cores")
        return strategy
    kind, count = ("GPU", gpus) if gpus else ("CPU", max(config.virtual_devices, 1))
    if name == "mirrored":
        return tf.distribute.MirroredStrategy([f"{kind}:{i}" for i in range(count)])
    if name == "one_device":
        return tf.distribute.OneDeviceStrategy(f"{kind}:0")
    return tf.distribute.get_strategy()


def _split_cpu(virtual_devices: int) -> None:
    """Splits the CPU into logical devices; UserError when TensorFlow already uses it otherwise."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    if len(tf.config.get_logical_device_configuration(cpu) or [None]) == virtual_devices:
        return
    logical_devices = [tf.config.LogicalDeviceConfiguration()] * virtual_devices
    try:
        tf.config.set_logical_device_configuration(cpu, logical_devices)
    except RuntimeError as error:
        raise UserError(
            f"config.strategy.virtual_devices: got {virtual_devices}, but TensorFlow already runs "
            "with another number of devices; start a new process"
        ) from error


def _multi_worker_strategy(this_cluster: Cluster, gpus: int) -> tf.distribute.Strategy:
    """Connects the workers, all of which are about to do the same."""
    communication = tf.distribute.experimental.CommunicationImplementation
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({role: list(addresses) for role, addresses in this_cluster.roles}),
        task_type=this_cluster.role,
        task_id=this_cluster.index,
        rpc_layer="grpc",
    )
    options = tf.distribute.experimental.CommunicationOptions(
        implementation=communication.NCCL if gpus else communication.RING
    )
    with _bounded_connection(_SECONDS_TO_CONNECT_GPUS if gpus else _SECONDS_TO_CONNECT):
        try:
            return tf.distribute.MultiWorkerMirroredStrategy(resolver, options)
        except (*LOST_WORKER_ERRORS, tf.errors.InternalError) as error:
            raise Stopped(
                f"Another worker is lost ({str(error).splitlines()[0][:200]}); run the same "
                "command again."
            ) from error


@contextlib.contextmanager
def _bounded_connection(seconds: int) -> Iterator[None]:
    """Lets signals, and an alarm after `seconds`, end the process in the system's way meanwhile.

    TensorFlow holds Python's lock as it connects, so no handler can run; it waits up to an hour for
    a worker that has just been lost. It also replaces handlers, which are restored.
    """
    handlers = {number: signal.getsignal(number) for number in (*SIGNALS, signal.SIGALRM)}
    for number in handlers:
        signal.signal(number, signal.SIG_DFL)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _tpu_strategy(address: str, connect_seconds: float) -> tf.distribute.Strategy:
    """Connects to a TPU and initializes it. Never run on TPU hardware."""
    too_late = (
        f"The TPU {address} has not answered within {connect_seconds:g} s, "
        "config.strategy.connect_seconds; run the same command again."
    )
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=address)
        if resolver.master():  # empty when the TPU is on this machine
            lost_machines.watch(resolver.cluster_spec().job_tasks(resolver.get_job_name()))
        with (
            # In case TensorFlow holds Python's lock, so that no thread can end the process.
            _bounded_connection(math.ceil(connect_seconds) + _SECONDS_TO_STOP),
            lost_machines.exit_after(connect_seconds, too_late),
        ):
            # By default every later operation, file reads and writes among them, would run on the
            # TPU's first machine.
            tf.config.experimental_connect_to_cluster(resolver, make_master_device_default=False)
            tf.tpu.experimental.initialize_tpu_system(resolver)
    except LOST_WORKER_ERRORS as error:  # the machine answered a moment ago
        raise Stopped(
            f"The TPU {address} is lost ({type(error).__name__}); run the same command again."
        ) from error
    except (tf.errors.OpError, ValueError, OSError) as error:
        raise UserError(
            f"config.strategy.tpu: got {address!r}, but no TPU answers there "
            f"({str(error).splitlines()[0][:200]}); give 'local' on a TPU VM, or a TPU's name or "
            "the grpc:// addresses of its machines"
        ) from error
    return tf.distribute.TPUStrategy(resolver)
