"""What a report says first of a run: its result, what was run, and what is missing.

verdict(record)                         # "Test accuracy 0.888 (...) ..."
facts(record)                           # pairs of a name and a value
missing(record)                         # sentences, each with what brings it
"""

import json
from collections.abc import Mapping
from typing import Any

from configs.schema import resume
from configs.schema.rules import flatten
from trainer.pages import statistics
from trainer.pages.table import Cell, Table
from trainer.run import test_results
from trainer.run.record import Record
from trainer.run.test_results import TestResults
from trainer.run.writers.metrics_file import METRICS_FILE

AGAIN = "give the training command again"
_NOT_SET = "-"  # of a field that a config lacks


def results_of_test(record: Record) -> TestResults | None:
    """Returns the results review by review if they are of the run's last test, else None."""
    results, test = record.results, record.test
    if results is None or test is None or results.step != test.value("checkpoint"):
        return None
    return results if len(results.labels) else None


def verdict(record: Record) -> str:
    """Returns the result of a run in one line."""
    test = record.test
    if test is None:
        steps, done = record.lines[-1].step if record.lines else 0, len(record.of_kind("epoch"))
        epochs = f"{done} of {record.config.train.epochs} epochs"
        return f"In progress or stopped: step {steps:,}, {epochs}"
    name = next((n for n in ("accuracy", "perplexity") if n in test.values), "loss")
    results, text = results_of_test(record), f"Test {name} {test.value(name):.3f}"
    if results is None or name != "accuracy":
        return text
    low, high = statistics.wilson(int(results.right.sum()), len(results.labels))
    return f"{text}, 95 % interval {low:.3f} to {high:.3f}"


def details(record: Record) -> str:
    """Returns what the result is of."""
    best, results = record.best, results_of_test(record)
    parts = [] if results is None else [f"{len(results.labels):,} reviews tested"]
    if best is not None:
        value = best.value(record.score)
        parts.append(f"best validation {record.score} {value:.3f}, at step {best.step:,}")
    return "; ".join(parts)


def facts(record: Record) -> list[tuple[str, str]]:
    """Returns what was run, as pairs of a name and a value."""
    config, results = record.config, results_of_test(record)
    vocabulary = f"{len(record.tokens):,} token ids" if record.tokens else "file missing"
    pairs = [
        ("Workdir", record.url),
        (
            "Reviews",
            f"{config.data.source}, {config.data.train_split} and {config.data.test_split}",
        ),
        ("Labels", str(record.labels)),
        ("Vocabulary", vocabulary),
        ("Network", _network(record)),
        ("Epochs", f"{len(record.of_kind('epoch'))} of {config.train.epochs}"),
    ]
    if record.best is not None:
        pairs.append(("Best checkpoint", f"step {record.best.step:,}"))
    if results is not None:
        when = results.tested.replace("T", " ").replace("+00:00", " UTC")
        pairs += [
            ("Tested", f"{len(results.labels):,} reviews, {when}, step {results.step:,}"),
            ("Devices", results.devices),
        ]
    return pairs


def missing(record: Record) -> list[str]:
    """Returns a sentence for each part that a report lacks, with the command that brings it."""
    sentences = []
    if not record.lines:
        sentences.append(f"{METRICS_FILE} has no line yet: curves appear while the run goes on.")
    if record.test is None:
        sentences.append(f"The run has no test: {AGAIN}, which resumes it and tests at its end.")
    elif record.predicts_labels and results_of_test(record) is None:
        sentences.append(
            f"There are no results of each review ({test_results.NAME}), so no confusion matrix, "
            f"curves of the test or mistakes: {AGAIN}, with config.evaluation.report=True, which "
            "tests a finished run again and writes them."
        )
    if record.predicts_labels and record.tokens is None:
        sentences.append(f"vocabulary.txt is missing, so mistakes have no words: {AGAIN}.")
    if record.lines and not any(line.start for line in record.lines):
        sentences.append(
            f"{METRICS_FILE} was written by an earlier version, without starts and seconds: time "
            "is shown as fractions of the last start, and restarts are not marked."
        )
    if record.lines and not record.of_kind("train"):
        sentences.append(
            "No step of the training was logged, so its curves are missing: train.log_every_steps "
            f"({record.config.train.log_every_steps}) is more than the steps so far."
        )
    return sentences


def differences(configs: Mapping[str, Mapping[str, Any]]) -> Table:
    """Returns the fields whose values are not the same in all configs, which come by a name.

    The fields that decide the numbers of a run come first.
    """
    columns = {name: dumped(config) for name, config in configs.items()}
    fields = sorted({field for values in columns.values() for field in values})
    rows = {field: [v.get(field, _NOT_SET) for v in columns.values()] for field in fields}
    decisive = {field: resume.is_decisive(field) for field in fields}
    return Table(
        ["field", *columns, "decides the result"],
        [
            [Cell(field), *map(Cell, rows[field]), Cell("yes" if decisive[field] else "no")]
            for field in sorted(fields, key=lambda field: (not decisive[field], field))
            if len(set(rows[field])) > 1
        ],
    )


def dumped(config: Mapping[str, Any]) -> dict[str, str]:
    """Returns the values of a config by field as JSON, in which tuples and lists are equal."""
    return {field: json.dumps(value) for field, value in sorted(flatten(config).items())}


def _network(record: Record) -> str:
    model = record.config.model
    sizes = ", ".join(map(str, model.layer_sizes))
    directions = "in both directions" if model.bidirectional else "in one direction"
    head = f"pooling {model.pooling}" if record.predicts_labels else "a language model"
    return f"LSTM layers of {sizes} units {directions}, embedding {model.embedding_size}, {head}"
