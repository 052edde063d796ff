"""The objective of a language model: each word of a review from those before it.

objective = LanguageModeling(bidirectional=False, sampled_words=1000)
objective = objective.with_distant_words(factor=10.0, distance=20, first_epoch=1)
objective.evaluate(outputs, reviews)        # {"loss": 4.8, "perplexity": 121.5}

A classifier that starts from such a network is better than one that starts from random weights
(Dai and Le 2015, arXiv:1511.01432).

A batch is that of the other objectives: whole reviews, cut to `data.max_tokens`. So
back-propagation goes through the whole review and needs no truncation, and no state is carried from
one step to the next: the position in the data stays the step number, and the bits of a training do
not depend on the number of replicas. Labels are not read.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

import ml_collections
import numpy as np
import tensorflow as tf

from input_pipeline.examples import Examples
from input_pipeline.pipeline import Batch
from trainer.learning.kernel_choice import choose_kernel
from trainer.learning.objectives.objective import Sums
from trainer.learning.sampled_words import chances_of, draw, importance_of
from trainer.model.dropout import DropoutKey
from trainer.model.language_model import LanguageModel, Predictions

# The most logits that an evaluation holds at once.
MOST_LOGITS = 2**24


class LanguageModeling:
    """An `Objective`; see there."""

    terms: Mapping[str, float] = MappingProxyType({"language_model": 1.0})
    train_metrics: tuple[str, ...] = ()
    score = "-loss"
    work = 1.0
    labelled_only = False

    def __init__(self, bidirectional: bool, sampled_words: int):
        """`bidirectional` is that of the network.

        Training compares each word with `sampled_words` others, or with all if 0.
        """
        self._directions = 2 if bidirectional else 1
        self._sampled_words = sampled_words
        self._distance = 0
        self._first_epoch, self._alone = 0, self

    def with_distant_words(
        self, factor: float, distance: int, first_epoch: int
    ) -> "LanguageModeling":
        """Returns this objective with a term for one of the next `distance` words at each place.

        It joins in the epoch `first_epoch`, counted from 0.
        """
        objective = copy.copy(self)
        objective.terms = MappingProxyType({**self.terms, "distant": factor})
        objective._distance = distance
        objective._first_epoch, objective._alone = first_epoch, self
        return objective

    def at_epoch(self, epoch: int) -> "LanguageModeling":
        """Returns the objective of an epoch, counted from 0."""
        return self._alone if epoch < self._first_epoch else self

    def network(self, config: ml_collections.ConfigDict, vocabulary_size: int) -> LanguageModel:
        """Creates the language model of a whole config."""
        kernel = choose_kernel(config.model.kernel)
        distant = "distant" in self.terms
        return LanguageModel(config.model, vocabulary_size, config.seed, kernel, distant)

    def weights(self, batch: Batch) -> tf.Tensor:
        """Returns the number of predicted words <float32>[terms]: all but one of a review."""
        words = tf.cast(self._directions * (batch.lengths - 1), tf.float32)
        return tf.repeat(tf.reduce_sum(batch.weights * words), len(self.terms))

    def frozen(self, network: LanguageModel, batch: Batch, key: DropoutKey) -> None:
        """Does nothing: the loss has no part without a gradient."""

    def sums(self, network: LanguageModel, batch: Batch, key: DropoutKey, frozen: None) -> Sums:
        """Sums up the negative log likelihood of the words, among sampled ones."""
        tokens, lengths = batch.tokens, batch.lengths
        states = network.states(tokens, lengths, key)
        all_found = [network.next_words(states, tokens, lengths)]
        if "distant" in self.terms:
            found = network.distant_words(states, tokens, lengths, key, self._distance)
            importance = tf.constant(importance_of(network.vocabulary_size), tf.float32)
            counted = found.counted * tf.gather(importance, found.words)
            all_found.append(found._replace(counted=counted))
        losses_of = self._losses_of(network, key)
        losses = [
            tf.reduce_sum(batch.weights[:, tf.newaxis] * found.counted * losses_of(found))
            for found in all_found
        ]
        return Sums(losses=tf.stack(losses), metrics={})

    def outputs(self, network: LanguageModel, batch: Batch) -> tf.Tensor:
        """Returns each review's negative log likelihood and predicted words <float32>[batch, 2]."""
        states = network.states(batch.tokens, batch.lengths)
        found = network.next_words(states, batch.tokens, batch.lengths)
        words = tf.reduce_sum(found.counted, axis=1)
        return tf.stack([_summed_in_pieces(network, found), words], axis=1)

    def evaluate(self, outputs: np.ndarray, reviews: Examples) -> dict[str, float]:
        """Returns the loss a word and the perplexity, of outputs <float32>[reviews, 2].

        They are nan when all reviews have a single word. In both directions the loss is the mean of
        the two.
        """
        loss, words = outputs.astype(np.float64).sum(axis=0)
        mean = float(loss / words) if words else float("nan")
        with np.errstate(over="ignore"):
            return {"loss": mean, "perplexity": float(np.exp(mean))}

    def probabilities(self, outputs: np.ndarray) -> None:
        """Returns None: a language model predicts no labels."""

    def averaged(self, outputs: Sequence[np.ndarray]) -> np.ndarray:
        """Not to be called: a language model predicts no labels."""
        raise NotImplementedError

    def tables(self, outputs: np.ndarray, reviews: Examples) -> list[str]:
        """Returns no lines."""
        return []

    def _losses_of(
        self, network: LanguageModel, key: DropoutKey
    ) -> Callable[[Predictions], tf.Tensor]:
        """Returns what computes negative log likelihoods, of each term among the same words."""
        if not 0 < self._sampled_words < network.vocabulary_size - 1:
            return partial(full_losses, network)
        candidates = draw(key.bits, network.vocabulary_size, self._sampled_words)
        log_chances = np.log(chances_of(network.vocabulary_size, self._sampled_words))
        return partial(sampled_losses, network, candidates=candidates, log_chances=log_chances)


def full_losses(network: LanguageModel, found: Predictions) -> tf.Tensor:
    """Returns the negative log likelihood of each word among all <float32>[batch, places]."""
    numbers = tf.maximum(found.words - 1, 0)  # among ids without padding
    return tf.nn.sparse_softmax_cross_entropy_with_logits(numbers, network.logits(found))


def sampled_losses(
    network: LanguageModel, found: Predictions, candidates: tf.Tensor, log_chances: np.ndarray
) -> tf.Tensor:
    """Returns the negative log likelihood of each word among sampled ones <float32>[batch, places].

    This is the sampled softmax of Jean et al. 2015 (arXiv:1412.2007): a word is compared with the
    `candidates` <int32>[n], which are different ids, and each logit is corrected by the logarithm
    of the id's chance to be among them, `log_chances` <float>[ids]. A candidate that is the word
    itself does not count twice.
    """
    chances = tf.constant(log_chances, tf.float32)
    true = network.logits_of_words(found) - tf.gather(chances, found.words)
    others = network.logits_of(found, candidates) - tf.gather(chances, candidates)
    is_word = found.words[..., tf.newaxis] == candidates
    others = tf.where(is_word, others.dtype.min, others)
    # -log(exp(true) / (exp(true) + sum of exp(others)))
    return tf.nn.softplus(tf.reduce_logsumexp(others, axis=-1) - true)


def _summed_in_pieces(network: LanguageModel, found: Predictions) -> tf.Tensor:
    """Returns the negative log likelihood of each review <float32>[batch].

    The logits of all words are large: only those of a few places are held at a time.
    """
    batch, places = found.words.shape[0], tf.shape(found.words)[1]
    most = max(1, MOST_LOGITS // (batch * network.vocabulary_size))
    size = tf.clip_by_value(places, 1, most)
    pieces = (places + size - 1) // size
    lacks = pieces * size - places
    padded = {
        name: tf.pad(values, [[0, 0], [0, lacks], *[[0, 0]] * (values.shape.rank - 2)])
        for name, values in found._asdict().items()
        if name != "bias"
    }

    def add(number: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        begin = number * size
        part = found._replace(
            **{name: _piece(values, begin, (batch, size)) for name, values in padded.items()}
        )
        losses = part.counted * full_losses(network, part)
        return number + 1, total + tf.reduce_sum(losses, axis=1)

    _, total = tf.while_loop(
        lambda number, _: number < pieces, add, (0, tf.zeros([batch])), parallel_iterations=1
    )
    return total


def _piece(values: tf.Tensor, begin: tf.Tensor, shape: tuple[int, tf.Tensor]) -> tf.Tensor:
    """Returns some places of values [batch, places, ...]; `shape` is (batch, n)."""
    rest = values.shape[2:]
    return tf.slice(values, [0, begin, *[0] * len(rest)], [*shape, *rest])
