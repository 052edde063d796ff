"""Predictions for texts, from a run's workdir alone.

predict(workdir.stored_config(store), store, "best", ["A film to remember."])
"""

import itertools
import sys
from collections.abc import Iterable, Iterator

import ml_collections
import numpy as np
import tensorflow as tf

from input_pipeline import text
from input_pipeline.examples import Examples
from storage.errors import UserError
from storage.store import Store
from trainer.modes.evaluate import describe
from trainer.run import trained

_ONE_CELL = str.maketrans("\t\r\n", "   ")


def predict(
    config: ml_collections.ConfigDict, store: Store, checkpoint: str, texts: Iterable[str]
) -> None:
    """Prints a line for each text: probability of a positive review, label, text; tabs between.

    The checkpoint is named on standard error, so that the output has as many lines as the input.
    """
    scorer, words, manifest = trained.load_scorer(config, store, checkpoint)
    texts = map(_checked, texts)
    while batch := list(itertools.islice(texts, config.evaluation.batch_size)):
        ids = words.lookup(text.tokenize(tf.constant(batch)))
        reviews = Examples(ids, np.zeros(len(batch), np.int32))
        reviews = reviews.shortened(config.data.max_tokens, config.data.keep)
        logits = scorer(reviews, config.data.width_step)
        for line, logit in zip(batch, logits, strict=True):
            probability = 0.5 * (1.0 + np.tanh(0.5 * float(logit)))  # the sigmoid, at any size
            label = "positive" if logit > 0 else "negative"
            print(f"{probability:.4f}\t{label}\t{line.translate(_ONE_CELL)}", flush=True)
    print(f"Checkpoint: {describe(manifest)}", file=sys.stderr)


def _checked(line: str) -> str:
    try:
        line.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"--text: {line!a} is not UTF-8; convert it") from error
    return line


def lines(stream) -> Iterator[str]:
    """Lines of a binary stream; UserError with the number of one that is not UTF-8."""
    for number, line in enumerate(stream, 1):
        try:
            yield line.decode().rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise UserError(f"standard input, line {number}: not UTF-8; convert it") from error
