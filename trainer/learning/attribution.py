"""What moves a classifier's verdict: its log-odds, and each token's part in them.

    log_odds = LogOdds(network)
    log_odds(reviews, label=1)                              # <float32>[reviews]
    integrated_gradients(log_odds, review, label=1)         # <float32>[tokens]

The log-odds of a label are the logarithm of its probability divided by that of all others, so they
are the logit of two labels. With more labels the network's own logits would mislead: adding the
same number to all of them changes nothing.

All is computed in float32 from the float32 weights, also of a network in mixed precision. Its own
predictions differ by their rounding.
"""

import functools
from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf

from input_pipeline.vocabulary import PADDING, UNKNOWN
from trainer.model.kernels import KERNELS
from trainer.model.network import Classifier, Inputs

_SLOTS = 16_384  # of a batch, which bounds the memory
_NODES = 8  # of a quadrature
TOLERANCE = 1e-3  # of an integral, as a fraction of the whole change or of _SMALL
_SMALL = 1e-2  # log-odds
_HALVINGS, _STRETCHES = 10, 64  # of the path, at most; of log-odds that aren't finite none fits


class LogOdds(tf.Module):
    """The log-odds of a network's labels, for reviews of any number and lengths."""

    def __init__(self, network: Classifier):
        super().__init__()
        self._network = in_float32(network)

    def __call__(self, reviews: Iterable[np.ndarray], label: int) -> np.ndarray:
        """Returns the log-odds <float32>[reviews] of a label for reviews <int32>[tokens] each."""
        batches = (self._of_batch(*_padded(batch), label) for batch in _batches(reviews))
        return np.concatenate([np.zeros(0, np.float32), *batches])

    def along(self, review: np.ndarray, label: int, places: np.ndarray) -> tuple[np.ndarray, ...]:
        """Returns the log-odds on the straight path from the unknown word to a review's words.

        Args:
            review: <int32>[tokens].
            label: whose log-odds.
            places: <float64>[places] on the path, from 0 to 1.

        Returns:
            The log-odds <float32>[places], and what each token contributes to their derivative
            with respect to the place <float32>[places, tokens].
        """
        rows = max(1, _SLOTS // len(review))
        batches = [places[start : start + rows] for start in range(0, len(places), rows)]
        results = [self._along(review, label, np.float32(batch)) for batch in batches]
        values, slopes = zip(*results, strict=True)
        return np.concatenate(values), np.concatenate(slopes)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.int32),
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([], tf.int32),
        ],
        autograph=False,
    )
    def _of_batch(self, tokens: tf.Tensor, lengths: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
        return log_odds(self._network.logits(inputs(self._network, tokens), lengths), label)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([None], tf.float32),
        ],
        autograph=False,
    )
    def _along(
        self, review: tf.Tensor, label: tf.Tensor, places: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        start, end = (
            [part for part in inputs(self._network, ids[tf.newaxis]) if part is not None]
            for ids in (tf.fill(tf.shape(review), UNKNOWN), review)
        )
        ways = [last - first for first, last in zip(start, end, strict=True)]
        on_way = [
            first + places[:, None, None] * way for first, way in zip(start, ways, strict=True)
        ]
        lengths = tf.fill(tf.shape(places), tf.size(review))
        with tf.GradientTape() as tape:
            tape.watch(on_way)
            values = log_odds(self._network.logits(Inputs(*on_way), lengths), label)
        slopes = zip(tape.gradient(values, on_way), ways, strict=True)
        return values, tf.add_n([tf.reduce_sum(slope * way, axis=-1) for slope, way in slopes])


def in_float32(network: Classifier) -> Classifier:
    """Returns a network with the same variables that computes in float32 what is embedded so."""
    if network.embedding.compute_dtype == "float32":
        return network
    # This kernel computes in the dtype of its inputs, whatever the dtype of the layer is.
    return network.with_kernel(KERNELS["xla"])


def inputs(network: Classifier, tokens: tf.Tensor) -> Inputs:
    """Returns what a network reads of ids <int32>[batch, time], in float32 in any precision."""
    embedded = tf.gather(network.embedding.embeddings, tokens)
    return network.inputs(tokens)._replace(embedded=embedded)


def log_odds(logits: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
    """Returns the log-odds <float32>[batch] of a label, see `Classifier.logits` for `logits`."""
    if len(logits.shape) == 1:
        return tf.where(label == 1, logits, -logits)
    is_label = tf.one_hot(label, logits.shape[1], on_value=True, off_value=False)
    others = tf.where(is_label, tf.float32.min, logits)
    return tf.gather(logits, label, axis=1) - tf.reduce_logsumexp(others, axis=1)


def integrated_gradients(
    log_odds: LogOdds, review: np.ndarray, label: int, tolerance: float = TOLERANCE
) -> np.ndarray:
    """Returns each token's part <float32>[tokens] in a label's log-odds of a review.

    These are integrated gradients (Sundararajan, Taly and Yan 2017, arXiv:1703.01365) over the
    embedding. The baseline is the same review with all its words unknown: of all texts that say
    nothing it is one that the network can meet and is trained on. The embedding of padding is
    neither, since no gradient ever reaches it. So an unknown word's part is 0.

    The parts add up to the difference of the log-odds of review and baseline. A stretch of the path
    is halved until its integral fits the difference of the log-odds at its ends, to a fraction
    `tolerance` of the whole difference. What it misses then is shared by size. That is more than
    the tolerance only where the log-odds jump, as they do in long repetitive texts, whose words
    drive a network from one stable state to another.
    """
    total = np.zeros(len(review))
    stretches, most = np.array([[0.0, 1.0]]), 0.0  # start and end of each
    for halvings in range(_HALVINGS + 1):
        values, integrals = _quadrature(log_odds, review, label, stretches)
        misses = values[:, -1] - values[:, 0] - integrals.sum(axis=1)
        most = most or _most_missed(values, tolerance)
        is_last = halvings == _HALVINGS or len(stretches) > _STRETCHES
        done = (np.abs(misses) <= most) | is_last
        total += _shared(misses[done], integrals[done]).sum(axis=0)
        stretches = _halves(stretches[~done])
        if not len(stretches):
            break
    return total.astype(np.float32)


def _most_missed(values: np.ndarray, tolerance: float) -> float:
    """Returns what an integral may miss, given log-odds <float32>[1, nodes] on the whole path."""
    change = abs(values[0, -1] - values[0, 0])
    rounding = 4 * np.finfo(np.float32).eps * np.abs(values).max()
    return float(tolerance * max(change, _SMALL) + rounding)


def _shared(misses: np.ndarray, integrals: np.ndarray) -> np.ndarray:
    """Returns integrals <float64>[stretches, tokens] with each one's miss shared by its tokens."""
    sizes = np.abs(integrals)
    return integrals + misses[:, None] * sizes / np.maximum(sizes.sum(axis=1, keepdims=True), 1e-30)


def _quadrature(
    log_odds: LogOdds, review: np.ndarray, label: int, stretches: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Integrates the slopes over stretches of the path <float64>[stretches, (start, end)].

    Returns the log-odds <float32>[stretches, nodes], from the start to the end of each, and the
    integrals <float64>[stretches, tokens].
    """
    nodes, weights = _lobatto(_NODES)
    starts, widths = stretches[:, :1], np.diff(stretches)
    values, slopes = log_odds.along(review, label, (starts + widths * nodes).ravel())
    slopes = slopes.reshape(len(stretches), _NODES, len(review))
    return values.reshape(len(stretches), _NODES), widths * np.einsum("pnt,n->pt", slopes, weights)


@functools.cache
def _lobatto(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns nodes and weights <float64>[count] of the Gauss-Lobatto quadrature from 0 to 1.

    Its first and last node are the ends, so that an integral comes with its own check. It is
    exact for polynomials of degree 2 * count - 3 (Abramowitz and Stegun 1964, 25.4.32).
    """
    legendre = np.polynomial.Legendre.basis(count - 1)
    nodes = np.concatenate([[-1.0], legendre.deriv().roots(), [1.0]])
    return (nodes + 1) / 2, 1 / (count * (count - 1) * legendre(nodes) ** 2)


def _halves(stretches: np.ndarray) -> np.ndarray:
    """Returns both halves of each stretch <float64>[stretches, (start, end)]."""
    starts, ends = stretches.T
    middles = (starts + ends) / 2
    return np.concatenate([np.stack([starts, middles], 1), np.stack([middles, ends], 1)])


def _batches(reviews: Iterable[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """Yields the reviews in batches of up to `_SLOTS` slots, or of one review."""
    batch: list[np.ndarray] = []
    for review in reviews:
        if batch and (len(batch) + 1) * max(map(len, [*batch, review])) > _SLOTS:
            yield batch
            batch = []
        batch.append(review)
    if batch:
        yield batch


def _padded(reviews: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Returns reviews as <int32>[reviews, time], and their lengths <int32>[reviews]."""
    lengths = np.array([len(review) for review in reviews], np.int32)
    tokens = np.full((len(reviews), lengths.max()), PADDING, np.int32)
    tokens[np.arange(lengths.max()) < lengths[:, None]] = np.concatenate(reviews)
    return tokens, lengths
