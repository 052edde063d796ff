"""Predicts the labels of texts, from a run's workdir alone, on one device of this machine.

predict(scoring_config(store, None), store, "best", ["A film to remember."])
"""

import itertools
import sys
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import ml_collections
import tensorflow as tf

from storage.errors import UserError
from storage.store import Store
from trainer.learning.objectives.objective import score_metric
from trainer.modes.interface import Call
from trainer.run.trained_network import load_predictor
from trainer.run.workdir import scoring_config

_TO_ONE_CELL = str.maketrans("\t\r\n", "   ")


def run(call: Call) -> None:
    """Runs the mode on the texts of the flags, or else on the lines of standard input."""
    texts = call.text or lines(sys.stdin.buffer)
    predict(scoring_config(call.store, call.config), call.store, call.checkpoint, texts)


def predict(
    config: ml_collections.ConfigDict, store: Store, checkpoint: str, texts: Iterable[str]
) -> None:
    """Prints a line for each text: probability, predicted label, text; tabs between.

    The probability is that of the positive label if there are two labels, otherwise that of the
    predicted one.

    Names the checkpoint on standard error, so that the output has as many lines as the input.
    """
    predictor, trained = load_predictor(config, store, checkpoint, "predict")
    names = trained.encoding.labels.names
    texts = map(_checked, texts)
    while batch := list(itertools.islice(texts, config.evaluation.batch_size)):
        probabilities = predictor(tf.constant(batch)).numpy()
        for line, shares in zip(batch, probabilities, strict=True):
            number = int(shares.argmax())
            # Of two labels, the number is the positive one's, whichever is predicted.
            probability = shares[1 if len(shares) == 2 else number]
            print(f"{probability:.4f}\t{names[number]}\t{line.translate(_TO_ONE_CELL)}", flush=True)
    described = trained.manifest.describe(score_metric(trained.objective))
    print(f"Checkpoint: {described}", file=sys.stderr)


def _checked(line: str) -> str:
    try:
        line.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"--text: {line!a} is not UTF-8; convert it") from error
    return line


def lines(stream: BinaryIO) -> Iterator[str]:
    """Reads the lines of standard input, a binary stream; a blank line is a text too.

    Raises UserError when there are none, when they can't be read, and with its number for a line
    that is not UTF-8.
    """
    number = 0
    try:
        for line in stream:
            number += 1
            yield line.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise UserError(f"standard input, line {number}: not UTF-8; convert it") from error
    except OSError as error:
        raise UserError(
            f"standard input: can't be read ({error.strerror}); give a review a line, or --text"
        ) from error
    if not number:
        raise UserError("standard input: empty or closed; give a review a line, or --text")
