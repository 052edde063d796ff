"""Starts or resumes a run: everything that the training loop works with, made once a process.

    run, progress = start(config, open_store("runs/imdb"), Clock(), stop)
    run.state.step, progress.epoch_sums

What comes from where, in this order:
1. the encoding and the reviews: the workdir's, or else made or read from the source;
2. a fresh state, where the workdir has no checkpoint with the weights of `checkpoint.init_from` or
   the vectors of `model.vectors`;
3. a check of all that against the newest checkpoint; up to here nothing is written;
4. a claim on the workdir, then config and encoding into it;
5. state, progress and metrics: those of the newest checkpoint that verifies.
"""

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import ml_collections
import tensorflow as tf

from configs.schema import resume
from configs.schema.stored import CONFIG_FILE, stored_config
from input_pipeline.encoding import Encoding, read_encoding
from input_pipeline.load import TrainingData, load_training_data, open_reviews
from storage.claims import Claim
from storage.errors import UserError
from storage.store import Store
from trainer.learning import steps, train_state
from trainer.learning.objectives.objective import Objective
from trainer.learning.objectives.registry import create_objective
from trainer.learning.scorer import Scorer
from trainer.learning.slices import of_all_replicas
from trainer.learning.steps import StepResult
from trainer.learning.train_state import TrainState
from trainer.machines import devices
from trainer.machines import strategy as strategies
from trainer.machines.preemption import StopRequests
from trainer.machines.workers import Workers
from trainer.run import progress as progresses
from trainer.run import terminal
from trainer.run.checkpoints import Checkpoints
from trainer.run.chief_decisions import claim_workdir, restore_on_all
from trainer.run.clock import Clock
from trainer.run.fresh_state import fresh_state
from trainer.run.manifest import Manifest
from trainer.run.progress import Progress
from trainer.run.saver import METRICS, NoSaver, Saver
from trainer.run.time_left import TimeLeft, work_left
from trainer.run.workdir import (
    check_encoding,
    initial_encoding,
    require_no_shards,
)
from trainer.run.writers import several
from trainer.run.writers.profile import NoProfile, Profile
from trainer.run.writers.several import Writers
from trainer.run.writers.writer import NoWriter


@dataclasses.dataclass(frozen=True)
class Run:
    """What the training loop works with."""

    config: ml_collections.ConfigDict
    store: Store
    objective: Objective
    encoding: Encoding
    data: TrainingData
    strategy: tf.distribute.Strategy
    loop_device: str | None  # see strategy.loop_device
    state: TrainState
    # By the objective of an epoch.
    train_steps: Callable[..., Callable[[Iterator, tf.Tensor], StepResult]]
    scorer: Scorer
    saver: Saver | NoSaver
    writer: Writers | NoWriter
    profile: Profile | NoProfile
    check: Callable[[], None]  # raises Stopped on all workers when one of them was asked to leave
    workers: Workers
    clock: Clock
    time_left: TimeLeft
    claim: Claim
    steps_per_epoch: int

    @property
    def slices(self) -> int:
        """Returns the slices of a batch, over all replicas."""
        return of_all_replicas(self.config.train.slices, self.strategy)

    def origin(self) -> dict[str, float]:
        """Returns the fields of a line of metrics that say where and when it was measured.

        `start` is the number of the run's start, `seconds` how long that has been running.
        """
        return {"start": self.claim.number, "seconds": self.clock.wall()}


def start(
    config: ml_collections.ConfigDict, store: Store, clock: Clock, stop: StopRequests
) -> tuple[Run, Progress]:
    """Reads and builds everything first, and only then writes into the workdir.

    Of several workers the chief alone writes. Raises UserError for everything that a user can fix.
    """
    several.require_installed(config)
    require_no_shards(store)
    if store.exists(CONFIG_FILE):
        resume.require_same_run(stored_config(store), config)
    strategy = strategies.make_strategy(config)
    _describe(config, strategy)
    widths = strategies.static_widths(config, strategy)
    workers = Workers(strategy)
    reviews = open_reviews(config.data)
    encoding = read_encoding(store) or initial_encoding(config, reviews)
    loop_device = strategies.loop_device(strategy)
    data = load_training_data(config.data, encoding, loop_device is not None, reviews)
    steps_per_epoch = data.train.steps_per_epoch(config.train.batch_size)
    total_steps = _total_steps(config, steps_per_epoch)
    objective = create_objective(config, encoding.labels)
    check_match = partial(_check_match, config, store, encoding, data)
    with strategy.scope():
        state = fresh_state(objective, config, store, encoding, data, check_match)
    claim = claim_workdir(config, store, encoding, data.train.digest, workers)
    if claim.number > 1:
        terminal.say(f"Start {claim.number} of this run; an earlier one that still runs will end")
    slices = of_all_replicas(config.train.slices, strategy)
    progress, lines = _resume(objective, store, state, check_match, workers, slices)
    saver: Saver | NoSaver = NoSaver(progress.step)
    writer: Writers | NoWriter = NoWriter()
    profile: Profile | NoProfile = NoProfile()
    if workers.is_chief:
        saver = _make_saver(objective, config, state, len(encoding.vocabulary), claim, progress)
        writer = several.open_writers(config, store, claim, lines)
        profile = Profile(store, claim, config)
    check = partial(stop.check, workers.any)
    run = Run(
        config=config,
        store=store,
        objective=objective,
        encoding=encoding,
        data=data,
        strategy=strategy,
        loop_device=loop_device,
        state=state,
        train_steps=steps.by_objective(strategy, state, config, total_steps, widths),
        scorer=Scorer(strategy, objective, state.evaluated, config, check),
        saver=saver,
        writer=writer,
        profile=profile,
        check=check,
        workers=workers,
        clock=clock,
        time_left=TimeLeft(work_left(config, data, objective, steps_per_epoch, progress.step)),
        claim=claim,
        steps_per_epoch=steps_per_epoch,
    )
    return run, progress


def _describe(config: ml_collections.ConfigDict, strategy: tf.distribute.Strategy) -> None:
    terminal.say(f"Devices: {devices.describe(strategy)}")
    if strategy.num_replicas_in_sync > 1 and not strategies.reduces_in_tree(config, strategy):
        terminal.say("Replicas add up in the order of their devices: bits depend on their number")


def _total_steps(config: ml_collections.ConfigDict, steps_per_epoch: int) -> int:
    """Returns the steps of the whole run; UserError when the warm-up would not end in it."""
    total = config.train.epochs * steps_per_epoch
    if config.optimizer.warmup_steps >= total:
        raise UserError(
            f"config.optimizer.warmup_steps: got {config.optimizer.warmup_steps}, accepted are "
            f"fewer than the {total} steps of the run"
        )
    return total


def _make_saver(
    objective: Objective,
    config: ml_collections.ConfigDict,
    state: TrainState,
    vocabulary_size: int,
    claim: Claim,
    progress: Progress,
) -> Saver:
    make_spare = partial(train_state.create, objective, config, vocabulary_size)
    checkpoints = Checkpoints(claim.store, claim, config.checkpoint.keep_last)
    return Saver(checkpoints, state, make_spare, saved_step=progress.step)


def _check_match(
    config: ml_collections.ConfigDict,
    store: Store,
    encoding: Encoding,
    data: TrainingData,
    manifest: Manifest,
) -> None:
    """Raises UserError when a checkpoint is of another config, encoding or data."""
    resume.require_same_fields(manifest.config, config)
    check_encoding(store, encoding, manifest)
    if manifest.data != data.train.digest:
        raise UserError(
            f"config.data: the training reviews are not those that {store.url} was trained on; "
            "give the same data, or another --workdir"
        )


def _resume(
    objective: Objective,
    store: Store,
    state: TrainState,
    check_match: Callable[[Manifest], None],
    workers: Workers,
    slices: int,
) -> tuple[Progress, bytes]:
    """Reads the newest checkpoint that verifies into `state`; a no-op when there is none.

    Says when a batch had another number of slices before. Returns the progress at that checkpoint
    and the lines of metrics up to there.
    """
    progress, lines = Progress(), b""

    def read(path: str, manifest: Manifest) -> None:
        nonlocal progress, lines
        check_match(manifest)
        state.read(path)
        lines = Path(path + METRICS).read_bytes()
        progress = progresses.from_checkpoint(manifest, lines, objective)

    if manifest := restore_on_all(workers, store, "last", read):
        terminal.say(f"Resuming {store.url} at step {progress.step}")
        if manifest.slices not in (0, slices):
            terminal.say(
                f"A batch had {manifest.slices} slices before and has {slices} now, which add up "
                "in another order: the bits are not those of a run that was never stopped"
            )
    return progress, lines
