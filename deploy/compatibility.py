"""Whether a config can run on the machines that it is given: what the trainer would refuse there.

on_gpus(job, workers=3, accelerators=1)
strategy(job.config, ("auto", "tpu"), "--target=tpu_vm")
"""

import ml_collections

from configs.schema import rules
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
    strategy(job.config, accepted, f"--workers={workers} and --accelerators={accelerators}")
    rules.check_replicas(job.config, workers * max(1, accelerators))


def strategy(config: ml_collections.ConfigDict, accepted: tuple[str, ...], machines: str) -> None:
    """Raises UserError unless a config's strategy is among those accepted with `machines`."""
    name = config.strategy.name
    if name not in accepted:
        raise UserError(
            f"config.strategy.name: got {name!r} with {machines}, accepted is "
            f"{' or '.join(map(repr, accepted))}"
        )
