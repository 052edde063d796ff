"""Mode `predict` with --input: predicts each row of a CSV, JSONL or Parquet file into another file.

    run(call)

The output has the rows and columns of the input in their order, with `predicted_label` and the
`probability` of that label added. All rows are checked first; then they are predicted in windows.
What is done is kept in the folder OUTPUT.partial, from which the same command resumes after a stop
or a kill. The output appears when it is complete.
"""

import contextlib
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from trainer.machines.preemption import Stopped, StopRequests
from trainer.modes.interface import Call
from trainer.run import terminal
from trainer.run.bulk.formats import open_table
from trainer.run.bulk.partial import Partial
from trainer.run.bulk.places import places
from trainer.run.bulk.rows_bar import RowsBar
from trainer.run.bulk.scan import Scan, reading, scan
from trainer.run.bulk.table import Prediction, Table
from trainer.run.bulk.windows import windows
from trainer.run.ensemble import Ensemble, load_ensemble
from trainer.run.workdir import scoring_config


class _Work(NamedTuple):
    """A file that is being predicted."""

    table: Table
    found: Scan
    partial: Partial
    stop: StopRequests


def run(call: Call) -> None:
    """Predicts the rows of `call.input` and writes them to `call.output`."""
    config = scoring_config(call.store, call.config)
    source, output = places(call.input, call.output)
    text = call.text_column or config.data.text_column
    with Partial(output) as partial:
        with reading(source):
            table = open_table(source, text)
            found = scan(table, source)
            found.require_good(call.on_bad_row)
            stores = [call.store, *call.others]
            ensemble = load_ensemble(config, stores, call.checkpoint, "predict")
            command = {"input": f"SHA-256 {found.digest}", "checkpoint": ensemble.identity()}
            command |= {"--text_column": text, "--on_bad_row": call.on_bad_row}
            work, rate = _Work(table, found, partial, call.stop), 0.0
            if partial.begin(command):
                rate = _predict(work, ensemble)
                _write(work, ensemble.labels.names)
        # A request to stop comes too late here: all rows are written.
        with contextlib.suppress(Stopped), call.stop.deferred():
            partial.finish()
    _report(found, rate, source, output, ensemble)


def _predict(work: _Work, ensemble: Ensemble) -> float:
    """Predicts the rows that are left; returns the rate in rows per second."""
    table, found, partial, stop = work
    if partial.rows:
        terminal.say(f"Continuing after {partial.rows:,} of {found.rows:,} rows")
    texts = (row.text for row in table.rows() if not row.fault)
    left = itertools.islice(texts, partial.rows, None)
    bar = RowsBar(found.rows, partial.rows)
    with contextlib.closing(bar), _stoppable(work):
        for window in windows(left):
            probabilities = ensemble.probabilities(window, stop.check)
            partial.append(probabilities.argmax(axis=1), probabilities.max(axis=1))
            bar.advance(len(window))
    return bar.rate()


def _write(work: _Work, names: Sequence[str]) -> None:
    """Writes the rows of the output; `names` are those of the labels."""

    def predictions() -> Iterator[Prediction]:
        for number, probability in work.partial.predictions():
            work.stop.check()
            yield Prediction(names[number], probability)

    with _stoppable(work):
        work.partial.write(lambda path: work.table.write(path, predictions()))


@contextlib.contextmanager
def _stoppable(work: _Work) -> Iterator[None]:
    """Defers requests to stop to the checks in the context; Stopped then says what is done."""
    try:
        with work.stop.deferred():
            yield
    except Stopped as request:
        raise Stopped(
            f"Stopped with {work.partial.rows:,} of {work.found.rows:,} rows predicted; the same "
            "command continues."
        ) from request


def _report(found: Scan, rate: float, source: Path, output: Path, ensemble: Ensemble) -> None:
    """Prints what was done; names rows that were left out on standard error."""
    if found.blank:
        what = "row(s) without a text are predicted as reviews without a word"
        print(f"WARNING: {source}: {found.blank:,} {what}", file=sys.stderr)
    if found.bad:
        lines = [f"WARNING: {source}: {found.bad:,} row(s) left out", *found.named]
        more = found.bad - len(found.named)
        print(*lines, *([f"and {more:,} more"] if more else []), sep="\n  ", file=sys.stderr)
    speed = f", {rate:,.0f} rows/s" if rate else ""
    terminal.result(f"Predicted {found.rows:,} rows, skipped {found.bad:,}{speed}: {output}")
    terminal.say(f"Checkpoint: {ensemble.describe()}")
