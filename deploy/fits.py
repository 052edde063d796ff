"""Whether a config can run on the machines that it is given: what the trainer would refuse there.

on_gpus(job, workers=3, accelerators=1)
strategy(job, ("auto", "tpu"), "--target=tpu_vm")
"""

from deploy.job import Job
from storage.errors import UserError


def on_gpus(job: Job, workers: int, accelerators: int) -> None:
    """Raises UserError unless `workers` machines of so many GPUs, or none, can run the job."""
    if workers > 1:
        accepted = ("auto", "multi_worker")
    elif accelerators > 1:
        accepted = ("auto", "mirrored")
    else:
        accepted = ("auto", "default", "one_device", "mirrored")
    strategy(job, accepted, f"--workers={workers} and --accelerators={accelerators}")
    replicas(job, workers * max(1, accelerators))


def strategy(job: Job, accepted: tuple[str, ...], machines: str) -> None:
    """Raises UserError unless the config's strategy is among those accepted with `machines`."""
    name = job.config.strategy.name
    if name not in accepted:
        raise UserError(
            f"config.strategy.name: got {name!r} with {machines}, accepted is "
            f"{' or '.join(map(repr, accepted))}"
        )


def replicas(job: Job, count: int) -> None:
    """Raises UserError unless `count` replicas divide the config's batches."""
    train, evaluation = job.config.train, job.config.evaluation
    for field, size, unit in (
        ("train.batch_size", train.batch_size, count * train.micro_batches),
        ("evaluation.batch_size", evaluation.batch_size, count),
    ):
        if size % unit:
            raise UserError(
                f"config.{field}: got {size} on {count} replicas, accepted is a multiple of {unit}"
            )
