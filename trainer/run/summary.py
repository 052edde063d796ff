"""What a run is going to do, said before its first step, and what has come of it, said at its end.

    summary.before(run, progress)
    summary.after(run, tested=manifest, report="runs/imdb/report.html")

On a terminal the facts are a table, elsewhere a line each.
"""

import shlex
import sys
from pathlib import Path

import keras
import numpy as np

from input_pipeline.labels import NO_LABEL
from input_pipeline.sources import once
from input_pipeline.training_set import InMemory
from input_pipeline.vocabulary import UNKNOWN
from storage.url_list import quoted
from trainer.model.network import Classifier, Encoder
from trainer.run import memory, terminal
from trainer.run.clock import in_words
from trainer.run.manifest import Manifest
from trainer.run.progress import Progress
from trainer.run.start import Run

_TEXT = '--text="A film to remember."'
_NEXT = (
    "--mode=evaluate",
    f"--mode=predict {_TEXT}",
    f"--mode=explain {_TEXT}",
    "--mode=serve",
    "--mode=export",
    "--mode=report",
)
_NEXT_WITHOUT_LABELS = ("--mode=evaluate", "--mode=report")


def before(run: Run, progress: Progress) -> None:
    """Says what a start works with and what it is going to do."""
    facts = {
        "Data": _data(run),
        "Warnings": "; ".join(once.given()),
        "Labels": _labels(run),
        "Vocabulary": _vocabulary(run),
        "Network": _network(run.state.model),
        "Training": _training(run, progress),
        "Memory": memory.describe(run),
    }
    terminal.show({name: fact for name, fact in facts.items() if fact})
    if progress.epoch(run.steps_per_epoch) >= run.config.train.epochs:
        terminal.say(
            f"All {run.config.train.epochs} epochs of this run are trained; what is left is the "
            "test of its best checkpoint"
        )


def after(run: Run, tested: Manifest, report: str | None) -> None:
    """Says where a finished run's files are, what its time went to, and what to do next.

    `tested` is the checkpoint that was tested, `report` the URL of the report if one was written.
    """
    workdir = run.store.url.rstrip("/")
    predicts_labels = isinstance(run.state.model, Classifier)
    start = f"--config.checkpoint.init_from={shlex.quote(workdir)}"
    lines = [
        f"Time: {_time(run)}",
        f"Memory: {memory.in_units(memory.peak())} at its peak",
        f"Workdir: {workdir}",
        f"Best checkpoint: {workdir}/{Path(tested.prefix).parent}",
        *([f"Report: {report}"] if report else []),
        *_curves(run),
        *([] if predicts_labels else [f"A classifier can start from this run: {start}"]),
        "Next:",
        *next_commands(workdir, predicts_labels),
    ]
    for line in lines:
        terminal.say(line)


def next_commands(workdir: str, predicts_labels: bool) -> list[str]:
    """Returns a command for each thing to do with a finished run, quoted for a shell."""
    program = "longhaul" if Path(sys.argv[0]).stem == "longhaul" else "python -m trainer"
    place = shlex.quote(quoted(workdir))
    modes = _NEXT if predicts_labels else _NEXT_WITHOUT_LABELS
    return [f"  {program} --workdir={place} {flags}" for flags in modes]


def _data(run: Run) -> str:
    parts = run.data
    return (
        f"{run.config.data.source}: {len(parts.train):,} reviews to train on, "
        f"{len(parts.validation):,} to validate, {len(parts.test):,} to test"
    )


def _labels(run: Run) -> str:
    """Returns names and numbers, with counts where that needs no reading of shards."""
    labels = run.encoding.labels
    if not isinstance(run.data.train, InMemory):
        return str(labels)
    numbers = run.data.train.examples.labels
    counts = np.bincount(numbers[numbers != NO_LABEL], minlength=len(labels))
    others = len(numbers) - counts.sum()
    without = f", and {others:,} without a label" if others else ""
    return f"{labels}; {' + '.join(f'{count:,}' for count in counts)} reviews to train on{without}"


def _vocabulary(run: Run) -> str:
    """Returns its size and its coverage of the validation reviews, which it was not made from."""
    unknown = float(np.mean(run.data.validation.tokens.flat_values.numpy() == UNKNOWN))
    size = len(run.encoding.vocabulary)
    return f"{size:,} token ids; {unknown:.1%} of the tokens to validate with are unknown words"


def _network(network: Encoder) -> str:
    """Returns the parameters of each layer, and of all."""
    counts = [(_name(layer, network), layer.count_params()) for layer in network.layers]
    listed = ", ".join(f"{name} {count:,}" for name, count in counts)
    return f"{sum(count for _, count in counts):,} parameters: {listed}"


def _name(layer: keras.layers.Layer, network: Encoder) -> str:
    """Returns the kind of a layer with its size, such as "LSTM(128)"."""
    kind = type(layer).__name__
    size = getattr(layer, "units", None) or getattr(layer, "output_dim", None)
    return f"{kind}({size}){' backward' if layer in network.backward else ''}"


def _training(run: Run, progress: Progress) -> str:
    config, steps = run.config.train, run.steps_per_epoch
    beside = run.config.data.unlabelled_batch_size
    also = f" and {beside:,} without a label" if beside else ""
    done = f", {progress.step:,} of them done" if progress.step else ""
    early = f"; ends after {config.patience} without a better score" if config.patience else ""
    return (
        f"{config.epochs:,} epoch(s) of {steps:,} steps of {config.batch_size:,} reviews{also}, "
        f"{config.epochs * steps:,} steps in all{done}{early}"
    )


def _curves(run: Run) -> list[str]:
    """Returns the line with the command that shows the curves, if they are written."""
    if "tensorboard" not in run.config.train.writers:
        return []
    board = f"{run.store.url.rstrip('/')}/{run.config.train.tensorboard_dir}"
    return [f"Curves: tensorboard --logdir={shlex.quote(board)}"]


def _time(run: Run) -> str:
    """Returns how long this process has taken, and the causes from the longest on."""
    wall, causes = run.clock.wall(), run.clock.fractions()
    ranked = sorted(causes.items(), key=lambda cause: -cause[1])
    return f"{in_words(wall)}: {', '.join(f'{name} {share:.1%}' for name, share in ranked)}"
