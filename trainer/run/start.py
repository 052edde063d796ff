"""A run as the training loop works with it: all that is made once a process.

    run, progress = start(config, open_store("runs/imdb"), Clock(), stop)
    run.state.step, progress.epoch_sums

What comes from where, in this order:
1. the vocabulary and the reviews: the workdir's, else made or read anew;
2. a fresh state, with the weights of `checkpoint.init_from` where the workdir has no checkpoint;
3. a check of all that against the newest checkpoint; up to here nothing is written;
4. a claim on the workdir, then config and vocabulary into it;
5. state, progress and metrics: those of the newest checkpoint that verifies.
"""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import ml_collections
import tensorflow as tf

from configs.schema import rules
from input_pipeline import load
from input_pipeline.vocabulary import VOCABULARY_FILE, Vocabulary, read_vocabulary
from storage import checksum, claims
from storage.claims import Claim
from storage.errors import UserError
from storage.store import Store, probe
from trainer.learning import steps, train_state
from trainer.learning.metrics import Sums
from trainer.learning.scorer import Scorer
from trainer.learning.steps import StepMetrics
from trainer.learning.train_state import TrainState
from trainer.machines import strategy as strategies
from trainer.machines.preemption import StopRequests
from trainer.machines.workers import Workers
from trainer.run import checkpoints, workdir
from trainer.run.checkpoints import Checkpoints, Manifest, ranked, restore
from trainer.run.clock import Clock
from trainer.run.metric_writers import MetricWriter, Silent
from trainer.run.saver import METRICS, Onlooker, Saver


@dataclasses.dataclass
class Progress:
    """Where a run stands, beside its TrainState; a manifest keeps it."""

    step: int = 0
    epoch_sums: Sums = dataclasses.field(default_factory=Sums)  # since the epoch began
    line_sums: Sums = dataclasses.field(default_factory=Sums)  # since the last train line
    validation_accuracy: float | None = None  # at this step, where it has been measured

    def epoch(self, steps_per_epoch: int) -> int:
        """The epoch it stands in, from 0; one that is not validated yet has not ended."""
        return (self.step - (self.epoch_sums.weight > 0)) // steps_per_epoch


@dataclasses.dataclass(frozen=True)
class Run:
    """What the loop works with; made once a process."""

    config: ml_collections.ConfigDict
    store: Store
    words: Vocabulary
    data: load.TrainingData
    strategy: tf.distribute.Strategy
    loop_device: str | None  # see strategy.loop_device
    state: TrainState
    train_steps: Callable[[Iterator, tf.Tensor], StepMetrics]
    scorer: Scorer
    saver: Saver | Onlooker
    writer: MetricWriter | Silent
    check: Callable[[], None]  # raises Stopped on all workers when one of them was asked to leave
    workers: Workers
    clock: Clock
    steps_per_epoch: int


def start(
    config: ml_collections.ConfigDict, store: Store, clock: Clock, stop: StopRequests
) -> tuple[Run, Progress]:
    """Reads and builds everything first, and only then writes into the workdir.

    Of several workers the chief alone writes.
    """
    if store.exists(workdir.CONFIG_FILE):
        rules.refuse_changes(workdir.stored_config(store), config)
    strategy = strategies.make_strategy(config)
    workers = Workers(strategy)
    stop.listen()  # the strategy of several workers listens for SIGTERM, too, only to log it
    words = read_vocabulary(store) or workdir.initial_vocabulary(config)
    loop_device = strategies.loop_device(strategy)
    data = load.load_training_data(config.data, words, at_once=loop_device is not None)
    steps_per_epoch = data.train.steps_per_epoch(config.train.batch_size)
    total_steps = _total_steps(config, steps_per_epoch)
    with strategy.scope():
        state = train_state.create(config, len(words))
    fits = partial(_check_fit, config, store, words, data)
    newest = ranked(store, "last")[:1]
    for manifest in newest:
        fits(manifest)
    if config.checkpoint.init_from and not newest:
        _start_from(config, words, state)
    claim = _take_over(config, store, words, data, workers)
    print(
        f"{len(data.train):,} reviews to train on, {len(data.validation):,} to validate, "
        f"{len(words):,} words; {strategy.num_replicas_in_sync} replica(s)",
        flush=True,
    )
    progress, lines = _resume(store, state, fits, workers)
    saver, writer = Onlooker(progress.step), Silent()
    if workers.is_chief:
        saver = _make_saver(config, state, len(words), claim, progress)
        writer = MetricWriter(store, claim, lines, config.train.tensorboard_dir)
    check = partial(stop.check, workers.any)
    run = Run(
        config=config,
        store=store,
        words=words,
        data=data,
        strategy=strategy,
        loop_device=loop_device,
        state=state,
        train_steps=steps.make_train_steps(
            strategy, state, config, total_steps, strategies.static_widths(config.data, strategy)
        ),
        scorer=Scorer(strategy, state.evaluated, config.evaluation.batch_size, check),
        saver=saver,
        writer=writer,
        check=check,
        workers=workers,
        clock=clock,
        steps_per_epoch=steps_per_epoch,
    )
    return run, progress


def _total_steps(config: ml_collections.ConfigDict, steps_per_epoch: int) -> int:
    """Of the whole run; UserError when the warm-up would not end in it."""
    total = config.train.epochs * steps_per_epoch
    if config.optimizer.warmup_steps >= total:
        raise UserError(
            f"config.optimizer.warmup_steps: got {config.optimizer.warmup_steps}, accepted are "
            f"fewer than the {total} steps of the run"
        )
    return total


def _make_saver(
    config: ml_collections.ConfigDict,
    state: TrainState,
    vocabulary_size: int,
    claim: Claim,
    progress: Progress,
) -> Saver:
    with tf.device("CPU:0"):
        spare = train_state.create(config, vocabulary_size)
    checkpoints = Checkpoints(claim.store, claim, config.checkpoint.keep_last)
    return Saver(checkpoints, state, spare, saved_step=progress.step)


def _take_over(
    config: ml_collections.ConfigDict,
    store: Store,
    words: Vocabulary,
    data: load.TrainingData,
    workers: Workers,
) -> Claim:
    """Claims the workdir for the job and writes what a run is known by into it.

    Raises UserError on a worker whose command, data or workdir is another than the chief's.
    """
    same = f"{rules.decisive(config)} {words.digest} {data.train.digest}"
    digest = checksum.of(same.encode())
    if workers.from_chief([digest]) != [digest]:
        raise UserError(
            "--config: this worker's config, vocabulary or reviews are not the chief's; give all "
            "workers the same command and the same data"
        )
    if not workers.is_chief:
        number, content = workers.from_chief([0, 0])
        claim = Claim(store, number)
        _see(store, claim.name, content)
        return claim
    store.sweep()
    probe(store)
    claim = claims.take(store)
    text = json.dumps(config.to_dict(), indent=1) + "\n"
    store.write(workdir.CONFIG_FILE, text.encode(), claim.check)
    store.write(VOCABULARY_FILE, words.to_bytes(), claim.check)
    workers.from_chief([claim.number, checksum.of(store.read(claim.name))])
    return claim


def _see(store: Store, name: str, content: int) -> None:
    """Raises UserError unless a worker finds what the chief has written, by its checksum."""
    seen = None
    with contextlib.suppress(FileNotFoundError):
        seen = checksum.of(store.read(name))
    if seen != content:
        raise UserError(
            f"--workdir: {store.url}/{name}: this worker does not see what the chief has written; "
            "give a folder that all machines share, or gs://BUCKET/NAME"
        )


def restore_on_all(
    workers: Workers, store: Store, which: str, read: Callable[[str, Manifest], None]
) -> Manifest | None:
    """`checkpoints.restore` by the chief; the others read the very checkpoint it has picked."""
    if workers.is_chief:
        manifest = restore(store, which, read)
        picked = [manifest.claim, manifest.step, manifest.digest] if manifest else [0, 0, 0]
        workers.from_chief(picked)
        return manifest
    claim, step, digest = workers.from_chief([0, 0, 0])
    if not claim:
        return None
    for manifest in ranked(store, str(step)):
        if (manifest.claim, manifest.digest) == (claim, digest):
            checkpoints.load(store, manifest, read)
            return manifest
    raise UserError(
        f"--workdir: {store.url}: this worker does not see the checkpoint of step {step} that the "
        "chief has picked; run the same command again"
    )


def _check_fit(
    config: ml_collections.ConfigDict,
    store: Store,
    words: Vocabulary,
    data: load.TrainingData,
    manifest: Manifest,
) -> None:
    """Raises UserError when a checkpoint is of another config, vocabulary or data."""
    rules.refuse_differences(manifest.config, config)
    workdir.check_vocabulary(store, words, manifest)
    if manifest.data != data.train.digest:
        raise UserError(
            f"config.data: the training reviews are not those that {store.url} was trained on; "
            "give the same data, or another --workdir"
        )


def _start_from(config: ml_collections.ConfigDict, words: Vocabulary, state: TrainState) -> None:
    """Weights of another run's best checkpoint, for a fresh run of the same network."""
    other = workdir.open_init_from(config)
    theirs = workdir.stored_config(other)
    for field in ("embedding_size", "layer_sizes", "bidirectional", "pooling"):
        # As JSON, since a stored tuple comes back as a list.
        if json.dumps(theirs.model[field]) != json.dumps(config.model[field]):
            raise UserError(
                f"config.model.{field}: got {config.model[field]!r}, but the run in "
                f"config.checkpoint.init_from has {theirs.model[field]!r}; give that value"
            )

    def read(path: str, manifest: Manifest) -> None:
        workdir.check_vocabulary(other, words, manifest)
        for model in filter(None, (state.model, state.average)):
            train_state.load_weights(path, theirs, model)

    manifest = restore(other, "best", read)
    if manifest is None:
        raise UserError(f"config.checkpoint.init_from: {other.url} holds no checkpoint yet")
    print(f"Starting from the weights of {other.url}, step {manifest.step}")


def _resume(
    store: Store, state: TrainState, fits: Callable[[Manifest], None], workers: Workers
) -> tuple[Progress, bytes]:
    """Reads the newest checkpoint that verifies into `state`; leaves that when there is none.

    Returns how far that is, and the lines of metrics up to there.
    """
    progress, lines = Progress(), b""

    def read(path: str, manifest: Manifest) -> None:
        nonlocal progress, lines
        fits(manifest)
        state.read(path)
        lines = Path(path + METRICS).read_bytes()
        sums = {name: Sums(**values) for name, values in manifest.sums.items()}
        progress = Progress(step=manifest.step, **sums)

    if restore_on_all(workers, store, "last", read):
        print(f"Resuming {store.url} at step {progress.step}", flush=True)
    return progress, lines
