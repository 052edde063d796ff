"""Which `tf.distribute` strategy a run gets, and how batches reach its replicas.

strategy = create(config.strategy)      # before TensorFlow touches a device
with strategy.scope(): ...
for batch in distribute(strategy, examples, plan): ...
"""

from collections.abc import Callable, Iterator
from functools import partial

import ml_collections
import tensorflow as tf

from configs.schema import rules
from input_pipeline import pipeline
from input_pipeline.batch_plan import BatchPlan
from input_pipeline.examples import Examples
from input_pipeline.pipeline import Batch
from storage.errors import UserError
from trainer.machines import cluster, lost_machines
from trainer.machines.cluster import Cluster
from trainer.machines.preemption import Stopped
from trainer.machines.workers import LOST

_MOST_WIDTHS = 8


def make_strategy(config: ml_collections.ConfigDict) -> tf.distribute.Strategy:
    """The strategy of a whole config; UserError when its replicas don't divide the batches."""
    strategy = create(config.strategy)
    rules.check_replicas(config, strategy.num_replicas_in_sync)
    return strategy


def static_widths(
    config: ml_collections.ConfigDict, strategy: tf.distribute.Strategy
) -> tuple[int, ...]:
    """All widths of a config's `data` part where the strategy needs to know them, else none."""
    if not needs_static_shapes(strategy):
        return ()
    step = config.width_step
    widths = tuple(range(step, config.max_tokens + step, step))
    if len(widths) > _MOST_WIDTHS:
        raise UserError(
            f"config.data.width_step: got {config.width_step}, which makes {len(widths)} widths; a "
            f"TPU compiles a program for each, so accepted are steps that make up to {_MOST_WIDTHS}"
        )
    return widths


def devices(kind: str = "CPU") -> int:
    """How many devices of a kind the machine has; the first call starts TensorFlow's platforms."""
    return len(tf.config.list_physical_devices(kind))


def choose(name: str, gpus: int, virtual_devices: int, workers: int, tpus: int = 0) -> str:
    """The strategy meant by `name`, a pure function of what the job has."""
    if name != "auto":
        return name
    if tpus:
        return "tpu"
    if workers > 1:
        return "multi_worker"
    return "mirrored" if gpus > 1 or virtual_devices > 1 else "default"


def create(config: ml_collections.ConfigDict) -> tf.distribute.Strategy:
    """The strategy of a config's `strategy` part.

    Raises UserError when virtual devices are asked for too late or beside GPUs, and when TF_CONFIG
    and the strategy don't go together.
    """
    gpus, here = devices("GPU"), cluster.from_environment()
    workers = len(here.addresses) if here else 1
    name = choose(config.name, gpus, config.virtual_devices, workers, devices("TPU"))
    if (name == "multi_worker") != (workers > 1):
        raise UserError(
            f"config.strategy.name: got {config.name!r}, but TF_CONFIG names {workers} worker(s); "
            "accepted is 'multi_worker' for several and another for one, or 'auto'"
        )
    if config.virtual_devices:
        if gpus or workers > 1:
            raise UserError(
                f"config.strategy.virtual_devices: got {config.virtual_devices}, but there are "
                f"{gpus} GPUs and {workers} worker(s); accepted is 0 unless there are none and one"
            )
        _split_cpu(config.virtual_devices)
    if name == "multi_worker":
        return _multi_worker(here, gpus)
    if name == "tpu":
        return _tpu(config.tpu)
    kind, count = ("GPU", gpus) if gpus else ("CPU", max(config.virtual_devices, 1))
    if name == "mirrored":
        return tf.distribute.MirroredStrategy([f"{kind}:{i}" for i in range(count)])
    if name == "one_device":
        return tf.distribute.OneDeviceStrategy(f"{kind}:0")
    return tf.distribute.get_strategy()


def _multi_worker(here: Cluster, gpus: int) -> tf.distribute.Strategy:
    """Waits until all workers are there."""
    communication = tf.distribute.experimental.CommunicationImplementation
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({role: list(addresses) for role, addresses in here.roles}),
        task_type=here.role,
        task_id=here.index,
        rpc_layer="grpc",
    )
    options = tf.distribute.experimental.CommunicationOptions(
        implementation=communication.NCCL if gpus else communication.RING
    )
    return tf.distribute.MultiWorkerMirroredStrategy(resolver, options)


def _tpu(address: str) -> tf.distribute.Strategy:
    """Not run on hardware."""
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=address)
        if resolver.master():  # else it is this machine's
            lost_machines.watch(resolver.cluster_spec().job_tasks(resolver.get_job_name()))
        # By default all that is done from here on, such as to read and write files, would be done
        # on the TPU's first machine.
        tf.config.experimental_connect_to_cluster(resolver, make_master_device_default=False)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except LOST as error:  # one that was there a moment ago
        raise Stopped(
            f"The TPU {address} is gone ({type(error).__name__}); run the same command again."
        ) from error
    except (tf.errors.OpError, ValueError, OSError) as error:
        raise UserError(
            f"config.strategy.tpu: got {address!r}, but no TPU is there "
            f"({str(error).splitlines()[0][:200]}); give 'local' on a TPU VM, or a TPU's name or "
            "the grpc:// addresses of its machines"
        ) from error
    return tf.distribute.TPUStrategy(resolver)


def loop_device(strategy: tf.distribute.Strategy) -> str | None:
    """Where the loop over steps runs when the TPU is on other machines than this process: there.

    None is here. It may ask Google's service, so it is asked once.
    """
    resolver = strategy.cluster_resolver
    if not isinstance(resolver, tf.distribute.cluster_resolver.TPUClusterResolver):
        return None
    return f"/job:{resolver.get_job_name()}/task:0" if resolver.master() else None


def needs_static_shapes(strategy: tf.distribute.Strategy) -> bool:
    """True where XLA compiles the steps."""
    return isinstance(strategy, tf.distribute.TPUStrategy)


def _split_cpu(devices: int) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    wanted = [tf.config.LogicalDeviceConfiguration()] * devices
    if len(tf.config.get_logical_device_configuration(cpu) or [None]) == devices:
        return
    try:
        tf.config.set_logical_device_configuration(cpu, wanted)
    except RuntimeError as error:
        raise UserError(
            f"config.strategy.virtual_devices: got {devices}, but TensorFlow runs already on "
            "another number of devices; start a new process"
        ) from error


def distribute(
    strategy: tf.distribute.Strategy, reviews: Examples, plan: BatchPlan, first_step: int = 0
) -> Iterator[Batch]:
    """An iterator over a plan's steps from `first_step` on, each replica with its slice."""
    return distribute_batches(strategy, partial(pipeline.batches, reviews, plan), first_step)


def distribute_batches(
    strategy: tf.distribute.Strategy,
    batches: Callable[[int, int, range], tf.data.Dataset],
    first_step: int = 0,
) -> Iterator[Batch]:
    """The same for what `batches` makes of (replicas, first step, replicas of this machine)."""
    replicas = strategy.num_replicas_in_sync

    def dataset(context: tf.distribute.InputContext) -> tf.data.Dataset:
        local = replicas // context.num_input_pipelines
        first = context.input_pipeline_id * local
        return batches(replicas, first_step, range(first, first + local))

    return iter(strategy.distribute_datasets_from_function(dataset))
