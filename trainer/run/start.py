"""Starts or resumes a run: everything that the training loop works with, made once a process.

    run, progress = start(config, open_store("runs/imdb"), Clock(), stop)
    run.state.step, progress.epoch_sums

What comes from where, in this order:
1. the encoding and the reviews: the workdir's, or else made or read from the source;
2. a fresh state, with the weights of `checkpoint.init_from` where the workdir has no checkpoint;
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
from input_pipeline.load import TrainingData, open_reviews
from input_pipeline.streaming import in_background
from input_pipeline.training_set import TrainingSet
from storage.claims import Claim
from storage.errors import UserError
from storage.store import Store
from trainer.learning import steps, train_state
from trainer.learning.objectives.objective import Objective
from trainer.learning.objectives.registry import create_objective
from trainer.learning.scorer import Scorer
from trainer.learning.steps import StepResult
from trainer.learning.train_state import TrainState
from trainer.machines import cluster, devices
from trainer.machines import strategy as strategies
from trainer.machines.distribution import distribute_batches
from trainer.machines.preemption import StopRequests
from trainer.machines.workers import Workers
from trainer.run import progress as progresses
from trainer.run import terminal
from trainer.run.checkpoints import Checkpoints, ranked
from trainer.run.chief_decisions import claim_workdir, restore_on_all
from trainer.run.clock import Clock
from trainer.run.init_from import load_initial_weights
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
    train_steps: Callable[[Iterator, tf.Tensor], StepResult]
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
    _check_workdir(config, store)
    strategy = strategies.make_strategy(config)
    _describe(config, strategy)
    widths = strategies.static_widths(config, strategy)
    workers = Workers(strategy)
    reviews = open_reviews(config.data)
    encoding = read_encoding(store) or initial_encoding(config, reviews)
    objective = create_objective(config, encoding.labels)
    # Read now so that a mistake in it shows before the training, and while the step is compiled.
    test = in_background(partial(reviews.load_split, config.data.test_split, encoding))
    loop_device = strategies.loop_device(strategy)
    train, validation = reviews.load_training(encoding, in_memory=loop_device is not None)
    steps_per_epoch = train.steps_per_epoch(config.train.batch_size)
    total = _total_steps(config, steps_per_epoch)
    check_match = partial(_check_match, config, store, encoding, train)
    with strategy.scope():
        state = _fresh_state(objective, config, store, encoding, check_match)
    train_steps = steps.make_train_steps(strategy, objective, state, config, total, widths)
    if not test.done():
        _compile(train_steps, config, strategy, train)
    data = TrainingData(train, validation, test.result())
    claim = claim_workdir(config, store, encoding, train.digest, workers)
    progress, lines = _resume(objective, store, state, check_match, workers)
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
        train_steps=train_steps,
        scorer=Scorer(strategy, objective, state.evaluated, config, check),
        saver=saver,
        writer=writer,
        profile=profile,
        check=check,
        workers=workers,
        clock=clock,
        time_left=TimeLeft(work_left(config, data, steps_per_epoch, progress.step)),
        claim=claim,
        steps_per_epoch=steps_per_epoch,
    )
    return run, progress


def _check_workdir(config: ml_collections.ConfigDict, store: Store) -> None:
    """Raises UserError for a config that can't run here, or for a workdir that has another."""
    several.require_installed(config)
    require_no_shards(store)
    if store.exists(CONFIG_FILE):
        resume.require_same_run(stored_config(store), config)


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


def _fresh_state(
    objective: Objective,
    config: ml_collections.ConfigDict,
    store: Store,
    encoding: Encoding,
    check_match: Callable[[Manifest], None],
) -> TrainState:
    """Creates the state; checks that it will fit the newest checkpoint, if there is one."""
    state = train_state.create(objective, config, len(encoding.vocabulary))
    newest = ranked(store, "last")[:1]
    for manifest in newest:
        check_match(manifest)
    if config.checkpoint.init_from and not newest:
        load_initial_weights(config, encoding, state)
    return state


def _compile(
    train_steps: Callable[[Iterator, tf.Tensor], StepResult],
    config: ml_collections.ConfigDict,
    strategy: tf.distribute.Strategy,
    train: TrainingSet,
) -> None:
    """Compiles the step by doing none; a no-op where the first step has to do it."""
    # Workers have to call it equally often. A TPU compiles when it gets a batch.
    if not (cluster.from_environment() or strategies.needs_static_shapes(strategy)):
        epoch = train.epoch(config.train.batch_size, config.data.width_step, config.seed, epoch=0)
        train_steps(distribute_batches(strategy, epoch.batches), tf.constant(0))


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
    train: TrainingSet,
    manifest: Manifest,
) -> None:
    """Raises UserError when a checkpoint is of another config, encoding or data."""
    resume.require_same_fields(manifest.config, config)
    check_encoding(store, encoding, manifest)
    if manifest.data != train.digest:
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
) -> tuple[Progress, bytes]:
    """Reads the newest checkpoint that verifies into `state`; a no-op when there is none.

    Returns the progress at that checkpoint and the lines of metrics up to there.
    """
    progress, lines = Progress(), b""

    def read(path: str, manifest: Manifest) -> None:
        nonlocal progress, lines
        check_match(manifest)
        state.read(path)
        lines = Path(path + METRICS).read_bytes()
        progress = progresses.from_checkpoint(manifest, lines, objective)

    if restore_on_all(workers, store, "last", read):
        terminal.say(f"Resuming {store.url} at step {progress.step}")
    return progress, lines
