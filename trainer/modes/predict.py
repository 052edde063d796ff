"""Predicts the labels of texts, from a run's workdir alone, on one device of this machine.

predict(scoring_config(store, None), store, "best", ["A film to remember."])

Of several runs it takes the mean probabilities. With --input the texts are the rows of a file: see
`predict_file.py`.
"""

import sys
from collections.abc import Iterable, Sequence

import ml_collections

from storage.errors import UserError
from storage.store import Store
from trainer.modes import predict_file
from trainer.modes.interface import Call, require_utf8
from trainer.run import terminal
from trainer.run.bulk.lines import lines
from trainer.run.bulk.windows import windows
from trainer.run.ensemble import load_ensemble
from trainer.run.workdir import scoring_config

_TO_ONE_CELL = str.maketrans("\t\r\n", "   ")


def run(call: Call) -> None:
    """Runs the mode on a file, the texts of the flags, or else the lines of standard input."""
    if call.input:
        if call.text:
            raise UserError("--text: got one beside --input; give the texts in one of them")
        predict_file.run(call)
        return
    skip = call.on_bad_row if call.on_bad_row == "skip" else ""
    given = {"output": call.output, "text_column": call.text_column, "on_bad_row": skip}
    for flag, value in given.items():
        if value:
            raise UserError(f"--{flag}: got {value!r} without --input; give the file to predict")
    if not call.text and sys.stdin.isatty():
        print("Type a review a line; Ctrl-D ends.", file=sys.stderr)
    texts = call.text or lines(sys.stdin.buffer)
    config = scoring_config(call.store, call.config)
    predict(config, call.store, call.checkpoint, texts, call.others)


def predict(
    config: ml_collections.ConfigDict,
    store: Store,
    checkpoint: str,
    texts: Iterable[str | None],
    others: Sequence[Store] = (),
) -> None:
    """Prints a line for each text: probability, predicted label, text; tabs between.

    The probability is that of the positive label if there are two labels, otherwise that of the
    predicted one, and with `others` its mean over the runs in all these workdirs. None among the
    texts prints what is there so far.

    Names the checkpoint on standard error, so that the output has as many lines as the input.
    """
    ensemble = load_ensemble(config, [store, *others], checkpoint, "predict")
    names = ensemble.labels.names
    for window in windows(map(_checked, texts)):
        probabilities = ensemble.probabilities(window)
        for line, shares in zip(window, probabilities, strict=True):
            number = int(shares.argmax())
            # Of two labels, the number is the positive one's, whichever is predicted.
            probability = shares[1 if len(shares) == 2 else number]
            print(f"{probability:.4f}\t{names[number]}\t{line.translate(_TO_ONE_CELL)}")
        sys.stdout.flush()
    if not terminal.is_quiet():
        print(f"Checkpoint: {ensemble.describe()}", file=sys.stderr)


def _checked(line: str | None) -> str | None:
    require_utf8(line or "")
    return line
