"""What stands out in a run, in plain words, each with its number and the fields that change it.

    for finding in findings(record): print(finding.text, finding.fields)

A sentence is there only if the numbers bear it: thresholds stand beside each.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from trainer.pages import findings_of_test
from trainer.pages.findings_of_test import Finding
from trainer.pages.run_facts import results_of_test
from trainer.pages.statistics import wilson
from trainer.pages.time_use import LATER, Start, named, starts_of, summed
from trainer.run.record import Record

# What to change when a cause takes much of the time.
_FIELDS = {
    "start": "data.cache_dir, which keeps tokenised reviews from one start to the next",
    "compile": "data.width_step on a TPU, where each width compiles",
    "input wait": "data.cache_dir, or a machine with more CPU cores to prepare batches",
    "evaluation": "evaluation.batch_size",
    "checkpoint": "checkpoint.every_steps",
}


class Epoch(NamedTuple):
    """An epoch's losses and accuracies, nan where there is none."""

    number: int
    train_loss: float
    loss: float  # of the validation
    train_accuracy: float
    accuracy: float


def findings(record: Record) -> list[Finding]:
    """Returns what stands out, what concerns the learning first."""
    results, epochs, found = results_of_test(record), epochs_of(record), []
    if len(epochs) > 1:
        found += _overfitting(epochs) or _gap(record, epochs)
        found += _improvement(record, epochs)
    if results is not None:
        found += findings_of_test.findings(results, record)
    return [*found, *_clipping(record), *_padding(record), *_time(record)]


def epochs_of(record: Record) -> list[Epoch]:
    """Returns the epochs that have ended with a validation whose loss is finite."""
    validations = {line.step: line for line in record.of_kind("validation")}
    epochs = [
        Epoch(
            number,
            record.value(line, "loss"),
            validations[line.step].value("loss"),
            line.value("accuracy"),
            validations[line.step].value("accuracy"),
        )
        for number, line in enumerate(record.of_kind("epoch"), start=1)
        if line.step in validations
    ]
    return [epoch for epoch in epochs if math.isfinite(epoch.loss)]


def _overfitting(epochs: Sequence[Epoch]) -> list[Finding]:
    """Finds a validation loss that ends 2 % above its lowest while the training loss fell."""
    lowest, last = min(epochs, key=lambda epoch: epoch.loss), epochs[-1]
    if last.loss < 1.02 * lowest.loss or not last.train_loss < lowest.train_loss:
        return []
    text = (
        f"Overfitting since epoch {lowest.number}: up to epoch {last.number} the validation loss "
        f"rose from {lowest.loss:.3f} to {last.loss:.3f} while the training loss fell from "
        f"{lowest.train_loss:.3f} to {last.train_loss:.3f}."
    )
    return [Finding(text, "model.dropout (larger), train.epochs (fewer) or train.patience")]


def _gap(record: Record, epochs: Sequence[Epoch]) -> list[Finding]:
    """Finds a training accuracy that ends 0.05, and more than by chance, above the validation's."""
    last = epochs[-1]
    if not last.train_accuracy - last.accuracy > 0.05:
        return []
    count = _validated(record)
    if wilson(round(last.accuracy * count), count)[1] >= last.train_accuracy:
        return []
    text = (
        f"The training reviews are known better than others: in the last epoch the training "
        f"accuracy was {last.train_accuracy:.3f}, that of the validation {last.accuracy:.3f}."
    )
    return [Finding(text, "model.dropout (larger), or more training reviews")]


def _validated(record: Record) -> int:
    """Returns about how many reviews a validation has, which no file of a workdir says."""
    config, first = record.config, record.of_kind("epoch")[0]
    share = config.data.validation_share
    return round(first.step * config.train.batch_size * share / (1 - share))


def _improvement(record: Record, epochs: Sequence[Epoch]) -> list[Finding]:
    """Finds, in a run that has ended, a validation loss that fell by 1 % in its last epoch."""
    before, last = epochs[-2:]
    is_best = all(last.loss <= e.loss and not last.accuracy < e.accuracy for e in epochs)
    if record.test is None or not is_best or last.loss > 0.99 * before.loss:
        return []
    if last.accuracy >= 0.999:
        return []
    text = (
        f"Still improving at the end: in the last epoch the validation loss fell from "
        f"{before.loss:.3f} to {last.loss:.3f}, and no epoch was better."
    )
    ends = record.config.optimizer.schedule == "cosine"
    more = "more; the learning rate falls to 0 at the last epoch, so it then stays up longer"
    return [Finding(text, f"train.epochs ({more if ends else 'more'})")]


def _clipping(record: Record) -> list[Finding]:
    """Finds gradients that were clipped in a tenth of the logged steps, or overflowed."""
    norms = np.array([line.value("gradient_norm") for line in record.of_kind("train")])
    clip, known = record.config.optimizer.clip_norm, np.isfinite(norms)
    found = []
    share = float((norms[known] > clip).mean()) if clip and known.any() else 0.0
    if share >= 0.1:
        text = (
            f"The gradient was clipped to the norm {clip:g} in {share:.0%} of the {known.sum():,} "
            f"logged steps; its median norm is {np.median(norms[known]):.2g}."
        )
        found.append(Finding(text, "optimizer.clip_norm or optimizer.learning_rate"))
    if record.config.model.precision == "float16" and not known.all():
        text = f"The gradient overflowed in {(~known).mean():.0%} of the logged steps."
        found.append(Finding(text, "model.precision (bfloat16 or float32)"))
    return found


def _padding(record: Record) -> list[Finding]:
    """Finds padding in at least 15 % of the token slots."""
    shares = [line.value("padding") for line in record.of_kind("epoch")]
    if not shares or not shares[-1] >= 0.15:
        return []
    text = f"{shares[-1]:.0%} of the token slots of training are padding."
    return [Finding(text, f"data.width_step (smaller than {record.config.data.width_step})")]


def _time(record: Record) -> list[Finding]:
    """Finds a goodput below 60 %, or 5 % of the time spent on waiting for input."""
    starts = starts_of(record.lines)
    whole = summed(starts) or next(reversed(starts), None)
    if whole is None or not math.isfinite(whole.goodput):
        return []
    shares = _shares(whole)
    found = []
    if whole.goodput < 0.6:
        cause = max((cause for cause in shares if cause != "training"), key=lambda c: shares[c])
        text = (
            f"Only {whole.goodput:.0%} of the time was training; the largest other part was "
            f"{named(cause)}, {shares[cause]:.0%}."
        )
        # A cache that is on already makes no start faster.
        helps = cause != "start" or not record.config.data.cache_dir
        found.append(Finding(text, _FIELDS.get(cause, "") if helps else ""))
    if shares.get("input wait", 0.0) >= 0.05:
        text = f"Training waited for its input for {shares['input wait']:.0%} of the time."
        found.append(Finding(text, _FIELDS["input wait"]))
    return found


def _shares(start: Start) -> dict[str, float]:
    """Returns the fractions of the time whose cause is known."""
    known = {cause: value for cause, value in start.causes.items() if cause != LATER}
    total = sum(known.values())
    return {cause: value / total for cause, value in known.items()}
