"""Checks that a config can run on the machines it is submitted to, before anything is sent.

    check_reachable(config, mode="prepare")
    check_gpus(job, workers=3, accelerators=1)
    job = expecting(job, 1)
    check_strategy(job.config, ("auto", "tpu"), "--target=tpu_vm")

The trainer on those machines would refuse the same configs, but only once they are paid for.
"""

import dataclasses
from collections.abc import Sequence

import ml_collections

from configs.schema import rules
from deploy.job import PREPARE, TRAIN, Job
from input_pipeline.sources import registry
from storage.errors import UserError


def check_reachable(config: ml_collections.ConfigDict, mode: str = TRAIN) -> None:
    """Raises UserError when a job would look for something that only this machine has.

    Also when --mode=prepare is asked to prepare what is prepared already.
    """
    source = config.data.source
    kind, argument = registry.kind_of(source)
    if mode == PREPARE and kind.job_needs == "preparation":
        raise UserError(
            f"config.data.source: got {source!r}, which is prepared already; accepted with "
            "--mode=prepare is a source of texts, such as 'tfds:NAME'"
        )
    if not kind.is_reachable(argument):
        raise UserError(
            f"config.data.source: got {source!r}, which the job's machines can't reach; accepted "
            f"are {_reachable_sources()}"
        )
    if config.data.dir:
        raise UserError(
            f"config.data.dir: got {config.data.dir!r}, a folder that the job's machines don't "
            "have; accepted is '', with which 'tfds:NAME' downloads the data set; or prepare it as "
            "shards here, with --mode=prepare --workdir=gs://BUCKET/PATH"
        )
    init_from = config.checkpoint.init_from
    if init_from and not init_from.startswith("gs://"):
        raise UserError(
            f"config.checkpoint.init_from: got {init_from!r}, which the job's machines can't "
            "reach; accepted is a gs:// URL, or ''"
        )
    if config.model.vectors and mode != PREPARE:
        raise UserError(
            f"config.model.vectors: got {config.model.vectors!r}, a file that the job's machines "
            "don't have; accepted is '', with which a job resumes a run that has started from "
            "vectors here, with --workdir=gs://BUCKET/PATH, and saved a checkpoint"
        )
    if config.strategy.virtual_devices:
        raise UserError(
            f"config.strategy.virtual_devices: got {config.strategy.virtual_devices}, accepted is "
            "0, except with --target=local"
        )


def check_gpus(job: Job, workers: int, accelerators: int) -> None:
    """Raises UserError unless `workers` machines with `accelerators` GPUs each can run the job.

    With 0 accelerators the machines have CPUs only. Preparation runs on any machines.
    """
    if job.mode == PREPARE:
        return
    if workers > 1:
        accepted = ["auto", "multi_worker"]
    elif accelerators > 1:
        accepted = ["auto", "mirrored"]
    else:
        accepted = ["auto", "default", "one_device", "mirrored"]
    machines = f"--workers={workers} and --accelerators={accelerators}"
    check_strategy(job.config, accepted, machines)
    rules.check_replicas(job.config, workers * max(1, accelerators))


def expecting(job: Job, count: int) -> Job:
    """Returns the job, told to stop unless it finds what is paid for.

    `count` is the number of GPUs of each worker, or of cores of the TPU; preparation uses none.
    Raises UserError when the config expects another number.
    """
    if job.mode == PREPARE:
        return job
    expected = job.config.strategy.accelerators
    if expected not in (0, count):
        raise UserError(
            f"config.strategy.accelerators: got {expected}, but the machines have {count}; leave "
            "it out, or give the same number"
        )
    if not count or expected:
        return job
    arguments = (*job.arguments, f"--config.strategy.accelerators={count}")
    return dataclasses.replace(job, arguments=arguments)


def check_strategy(
    config: ml_collections.ConfigDict, accepted: Sequence[str], machines: str
) -> None:
    """Raises UserError unless the config's strategy is one of those accepted with `machines`."""
    name = config.strategy.name
    if name not in accepted:
        raise UserError(
            f"config.strategy.name: got {name!r} with {machines}, accepted is "
            f"{' or '.join(map(repr, accepted))}"
        )


def _reachable_sources() -> str:
    """Returns the forms of the sources that other machines can read, as a list in a sentence."""
    forms = []
    for kind in registry.KINDS:
        if form := kind.reachable_form:
            made = ""
            if kind.job_needs == "preparation":
                url = form.partition(":")[2]
                made = f" (made with `python -m trainer --mode=prepare --workdir={url}`)"
            forms.append(f"{form!r}{made}")
    return f"{', '.join(forms[:-1])} and {forms[-1]}"
