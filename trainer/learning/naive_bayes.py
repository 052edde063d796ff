"""Sets what the wide part of a classifier scales its weights with.

    naive_bayes.set_ratios([state.model], epoch.batches(replicas=1))

The ratio of an n-gram and a label is log(p / q), with p the share of the n-gram among all n-grams
of the reviews with that label, and q among those of the others; each n-gram is counted once more
than it occurs (Wang and Manning 2012, https://aclanthology.org/P12-2018).
"""

from collections.abc import Iterable, Sequence

import numpy as np
import tensorflow as tf

from input_pipeline.labels import NO_LABEL
from input_pipeline.pipeline import Batch
from trainer.model.network import Classifier


def set_ratios(networks: Sequence[Classifier], batches: Iterable[Batch]) -> None:
    """Counts the n-grams of some batches, and sets the ratios of networks with a wide part."""
    parts = [network.wide for network in networks if network.wide]
    wide = parts[0]
    buckets, outputs = wide.ratios.shape
    counts = np.zeros((max(2, outputs), buckets), np.int64)  # of two labels there is one output
    n_grams = tf.function(wide.n_grams, reduce_retracing=True, autograph=False)
    for batch in batches:
        numbers, counted = (part.numpy() for part in n_grams(batch.tokens))
        labels = np.broadcast_to(batch.labels.numpy()[:, None, None], numbers.shape)
        counted = counted & (labels != NO_LABEL)
        np.add.at(counts, (labels[counted], numbers[counted]), 1)
    ratios = log_ratios(counts)[-outputs:].T.astype(np.float32)
    for part in parts:
        part.ratios.assign(ratios)


def log_ratios(counts: np.ndarray) -> np.ndarray:
    """Returns log(p / q) <float64>[labels, n-grams] of counts <int>[labels, n-grams]."""
    others = counts.sum(axis=0) - counts
    p, q = (shares / shares.sum(axis=1, keepdims=True) for shares in (counts + 1, others + 1))
    return np.log(p / q)
