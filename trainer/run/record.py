"""What a run's workdir says about it, for people: read without TensorFlow.

    record = read_record(open_store("runs/imdb"))
    record.of_kind("epoch")[-1].values["loss"]      # 0.31
    record.results                                  # None before the test

Runs of earlier versions and runs in progress lack some of it.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import ml_collections

from configs.schema.stored import predicts_labels, stored_config
from input_pipeline import vocabulary_file
from input_pipeline.labels import LABELS_FILE, Labels, read_labels
from input_pipeline.vocabulary_file import VOCABULARY_FILE
from storage import json_object
from storage.errors import UserError
from storage.store import Store
from trainer.run import test_results
from trainer.run.test_results import TestResults
from trainer.run.writers.metrics_file import METRICS_FILE


class Line(NamedTuple):
    """A line of metrics.jsonl."""

    kind: str
    step: int
    values: Mapping[str, float]  # nan for what was not finite
    time: Mapping[str, float]  # fraction of the wall time by cause; {} where the line has none

    @property
    def start(self) -> int | None:
        """Returns the number of the start that wrote it; None in lines of earlier versions."""
        start = self.value("start")
        return int(start) if math.isfinite(start) else None

    def value(self, name: str) -> float:
        """Returns a number of the line, nan where it has none of that name."""
        return self.values.get(name, math.nan)


class Record(NamedTuple):
    """A run as its workdir shows it."""

    url: str
    config: ml_collections.ConfigDict
    labels: Labels
    tokens: Sequence[str] | None  # of the vocabulary, by id; None where the file is missing
    lines: Sequence[Line]  # in the order of their steps
    results: TestResults | None

    def of_kind(self, kind: str) -> list[Line]:
        """Returns the lines of a kind, such as "train"."""
        return [line for line in self.lines if line.kind == kind]

    def value(self, line: Line, name: str) -> float:
        """Returns a number of a line, nan where it has none of that name.

        The loss is that of the objective's own term, as that of a validation is: other terms join
        in the course of a training.
        """
        own = self.config.objective.name
        return line.value(own if name == "loss" and own in line.values else name)

    @property
    def test(self) -> Line | None:
        """The last test, None before it."""
        return next(reversed(self.of_kind("test")), None)

    @property
    def predicts_labels(self) -> bool:
        """False of a language model."""
        return predicts_labels(self.config)

    @property
    def score(self) -> str:
        """The name of the validation metric that the report ranks by."""
        validations = self.of_kind("validation")
        return "accuracy" if any("accuracy" in line.values for line in validations) else "loss"

    @property
    def best(self) -> Line | None:
        """The validation of the best checkpoint, None before the first."""
        sign = 1.0 if self.score == "accuracy" else -1.0
        scored = [
            (sign * line.value(self.score), line.step, line)
            for line in self.of_kind("validation")
            if math.isfinite(line.value(self.score))
        ]
        return max(scored)[2] if scored else None


def read_record(store: Store) -> Record:
    """Reads the files of a workdir.

    Raises UserError when there is no run in it, when a file is damaged, or when the store fails.
    """
    record = Record(
        url=store.url,
        config=stored_config(store),
        labels=read_labels(store),
        tokens=_tokens(store),
        lines=read_lines(store),
        results=_results(store),
    )
    _require_own_results(record)
    return record


def _read(store: Store, name: str) -> bytes | None:
    try:
        return store.read(name)
    except FileNotFoundError:
        return None


def _tokens(store: Store) -> Sequence[str] | None:
    data, name = _read(store, VOCABULARY_FILE), f"{store.url}/{VOCABULARY_FILE}"
    return None if data is None else vocabulary_file.parse(data, name).tokens


def _results(store: Store) -> TestResults | None:
    data, name = _read(store, test_results.NAME), f"{store.url}/{test_results.NAME}"
    return None if data is None else test_results.from_bytes(data, name)


def read_lines(store: Store) -> list[Line]:
    """Returns the lines of a run's metrics by step, [] where there are none yet.

    Raises UserError when the file is damaged.
    """
    data = _read(store, METRICS_FILE) or b""
    # A line without its end is being written by a run in progress, or was when the run was killed.
    whole = data[: data.rfind(b"\n") + 1].splitlines()
    numbered = enumerate(whole, start=1)
    lines = [_line(text, f"{store.url}/{METRICS_FILE}, line {n}") for n, text in numbered]
    return sorted(lines, key=lambda line: line.step)


def _line(text: bytes, name: str) -> Line:
    try:
        fields = json_object.parse(text)
        kind, step = fields.pop("kind"), fields.pop("step")
        if not isinstance(kind, str) or not _is_number(step) or step != int(step) or step < 0:
            raise ValueError("its kind or its step is none")
        time = fields.pop("time", {})
        return Line(kind, int(step), _numbers(fields), _numbers(time))
    except (KeyError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(
            f"{name}: can't be read ({error}); give the training command, which writes the file "
            "again up to its newest checkpoint"
        ) from error


def _numbers(fields: Mapping[str, Any]) -> dict[str, float]:
    """Returns the numbers among the values; None, which stands for what isn't finite, as nan."""
    return {
        name: math.nan if value is None else float(value)
        for name, value in fields.items()
        if value is None or _is_number(value)
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _require_own_results(record: Record) -> None:
    """Raises UserError when the test results are not of this run's labels and vocabulary."""
    results, count = record.results, len(record.labels)
    if results is None:
        return
    ids = [token for mistake in results.mistakes for token in mistake.tokens.tolist()]
    fits = record.tokens is None or all(0 <= token < len(record.tokens) for token in ids)
    if results.probabilities.shape[1] != count or not fits:
        raise UserError(
            f"{record.url}/{test_results.NAME}: of another run, with other labels or another "
            f"vocabulary than {LABELS_FILE} and {VOCABULARY_FILE} here; delete it and give the "
            "training command, which tests again and writes it"
        )
