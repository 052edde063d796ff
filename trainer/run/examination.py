"""Turns what a run's test predicted into its test results, with the worst mistakes explained.

    results = examine(config, store, manifest.step, probabilities, reviews, "1 CPU")
    store.write(test_results.NAME, test_results.to_bytes(results), claim.check)

Words are explained by a network that is loaded on the CPU, whatever the strategy of the run.
"""

import datetime
from collections.abc import Callable, Sequence

import ml_collections
import numpy as np
import tensorflow as tf
from absl import logging

from input_pipeline.examples import Examples
from input_pipeline.vocabulary import UNKNOWN
from storage.store import Store
from trainer.learning.explainer import Explainer
from trainer.run.test_results import Mistake, TestResults
from trainer.run.trained_network import load_predictor

_OF_A_KIND = 12  # most confident mistakes: one label taken for one other is a kind
_IN_ALL = 24
_TOLERANCE = 0.05  # of attributions: they are seen as colours, and a run waits for them


def examine(
    config: ml_collections.ConfigDict,
    store: Store,
    step: int,
    probabilities: np.ndarray,
    reviews: Examples,
    devices: str,
    check: Callable[[], None] = lambda: None,
) -> TestResults:
    """Returns the results of a checkpoint's test, with its most confident mistakes explained.

    Args:
        config: the whole config of the run in `store`.
        store: the workdir, whose checkpoint of `step` is loaded.
        step: of the checkpoint that was tested.
        probabilities: of each label, <float32>[reviews, labels].
        reviews: those of the test, in full length.
        devices: that the test ran on, in words.
        check: called again and again; may raise to leave.

    Raises UserError when the store fails or the checkpoint is gone.
    """
    rows = reviews.tokens.row_lengths().numpy()
    is_unknown = reviews.tokens.flat_values.numpy() == UNKNOWN
    return TestResults(
        step=step,
        tested=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        devices=devices,
        probabilities=probabilities,
        labels=reviews.labels,
        lengths=rows.astype(np.int32),
        unknown=np.bincount(
            np.repeat(np.arange(len(rows)), rows), is_unknown, minlength=len(rows)
        ).astype(np.int32),
        mistakes=_mistakes(config, store, step, probabilities, reviews, check),
    )


def most_confident_mistakes(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns the indices <int64>[n] of the wrong predictions with the highest probability first.

    Of each kind, a label taken for another, these are up to 12, and up to 24 in all.
    """
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    wrong = wrong[np.argsort(-confidence[wrong], kind="stable")]
    kinds = labels[wrong] * probabilities.shape[1] + predicted[wrong]
    chosen = [np.flatnonzero(kinds == kind)[:_OF_A_KIND] for kind in np.unique(kinds)]
    return wrong[np.sort(np.concatenate([np.zeros(0, np.int64), *chosen]))[:_IN_ALL]]


def _mistakes(
    config: ml_collections.ConfigDict,
    store: Store,
    step: int,
    shares: np.ndarray,
    reviews: Examples,
    check: Callable[[], None],
) -> tuple[Mistake, ...]:
    ids = most_confident_mistakes(shares, reviews.labels)
    if not len(ids):
        return ()
    cut = reviews.take(ids).shortened(config.data.max_tokens, config.data.keep)
    tokens = [row.numpy() for row in cut.tokens]
    predicted = shares[ids].argmax(axis=1).tolist()
    attributions = _attributions(config, store, step, tokens, predicted, check)
    return tuple(map(Mistake, ids.tolist(), tokens, attributions))


def _attributions(
    config: ml_collections.ConfigDict,
    store: Store,
    step: int,
    tokens: Sequence[np.ndarray],
    predicted: Sequence[int],
    check: Callable[[], None],
) -> Sequence[np.ndarray]:
    """Returns what each token adds to the predicted label's logit, <float32>[tokens] a review.

    They are empty when TensorFlow fails, as for lack of memory: the run has trained, and must not
    fail.
    """
    try:
        with tf.device("CPU:0"):
            predictor, trained = load_predictor(config, store, str(step), "report")
            explainer = Explainer(predictor, trained.encoding.labels.names)
            return explainer.attributions(tokens, predicted, _TOLERANCE, check)
    except tf.errors.OpError as error:
        logging.warning("The report's mistakes have no coloured words: %s", error.message)
        return [np.zeros(0, np.float32)] * len(tokens)
