"""What a network does with one review, word by word.

    explainer = Explainer(predictor, ("negative", "positive"))
    explanation = explainer.explain("A film to remember.")
    explanation.words, explanation.so_far, explanation.attributions
    explanation.layers[0].forget            # <float32>[words, units]

All is computed in float32, see `attribution`. No text makes it trace again.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from input_pipeline.vocabulary import UNKNOWN
from trainer.learning.attribution import (
    TOLERANCE,
    LogOdds,
    in_float32,
    inputs,
    integrated_gradients,
    log_odds,
)
from trainer.learning.predictor import Predictor
from trainer.model.gates import Gates, Recorder


class LayerGates(NamedTuple):
    """One LSTM layer in one direction, see `Gates`.

    All but the influence are <float32>[words, units], in the order of the words of the review.
    """

    name: str  # "layer 1", or "layer 1 forward" and "layer 1 backward"
    input: np.ndarray
    forget: np.ndarray
    candidate: np.ndarray
    output: np.ndarray
    cell: np.ndarray
    state: np.ndarray
    influence: np.ndarray  # <float32>[units], derivative of the logit by a factor on the state


class Explanation(NamedTuple):
    """What a network says of a review, and what it is made of."""

    text: str
    length: int  # of the whole text, in tokens
    words: tuple[str, ...]  # the tokens as the network reads them, in order
    known: np.ndarray  # <bool>[words], in the vocabulary
    labels: tuple[str, ...]
    probabilities: np.ndarray  # <float32>[labels]
    label: str  # the predicted one
    explained: str  # the positive label of two, otherwise the predicted one
    logit: float  # of `explained`: the logarithm of its probability over that of all others
    baseline_logit: float  # the same of as many unknown words
    so_far: np.ndarray  # <float32>[words], probability of `explained` after each word
    attributions: np.ndarray  # <float32>[words], their sum is logit - baseline_logit
    left_out: np.ndarray  # <float32>[words], the logit minus that of the review without the word
    layers: tuple[LayerGates, ...]


class Explainer:
    """Explains what a predictor says of reviews."""

    def __init__(self, predictor: Predictor, labels: Sequence[str]):
        """`labels` are the names of the labels in the order of their numbers."""
        self._predictor, self._labels = predictor, tuple(labels)
        self._log_odds = LogOdds(predictor.network)

    def explain(self, text: str) -> Explanation:
        """Explains one review of any length; the network reads up to `data.max_tokens` tokens."""
        whole = self._predictor.all_tokens(tf.constant([text]))
        tokens = self._predictor.cut(whole)
        ids = self._predictor.vocabulary.lookup(tokens)[0].numpy()
        probabilities = self._probabilities(ids).numpy()
        predicted = int(probabilities.argmax())
        number = 1 if len(self._labels) == 2 else predicted
        prefixes = self._log_odds((ids[: end + 1] for end in range(len(ids))), number)
        return Explanation(
            text=text,
            length=len(whole[0]),
            words=tuple(word.decode() for word in tokens[0].numpy()),
            known=ids != UNKNOWN,
            labels=self._labels,
            probabilities=probabilities,
            label=self._labels[predicted],
            explained=self._labels[number],
            logit=float(prefixes[-1]),
            baseline_logit=float(self._log_odds([np.full_like(ids, UNKNOWN)], number)[0]),
            so_far=tf.sigmoid(prefixes).numpy(),
            attributions=integrated_gradients(self._log_odds, ids, number),
            left_out=prefixes[-1] - self._without_each(ids, number),
            layers=self._layers(ids, number),
        )

    def attributions(
        self,
        reviews: Sequence[np.ndarray],
        explained: Sequence[int],
        tolerance: float = TOLERANCE,
        check: Callable[[], None] = lambda: None,
    ) -> list[np.ndarray]:
        """Returns integrated gradients <float32>[tokens] of reviews <int32>[tokens] each.

        They explain the logit of label number `explained`, one for each review. `check` is called
        before each and may raise to leave.
        """
        parts = []
        for ids, label in zip(reviews, explained, strict=True):
            check()
            parts.append(integrated_gradients(self._log_odds, ids, label, tolerance))
        return parts

    def _without_each(self, ids: np.ndarray, label: int) -> np.ndarray:
        """Returns the log-odds <float32>[words] of the review without each of its words.

        A review without a word is one unknown word, as in the rules for texts.
        """
        if len(ids) == 1:
            return self._log_odds([np.array([UNKNOWN], np.int32)], label)
        return self._log_odds((np.delete(ids, place) for place in range(len(ids))), label)

    def _layers(self, ids: np.ndarray, label: int) -> tuple[LayerGates, ...]:
        directions = ("forward", "backward") if self._predictor.network.backward else ("",)
        layers = []
        for place, (gates, influence) in enumerate(self._gates(ids, label)):
            layer, direction = divmod(place, len(directions))
            # The network gives the backward direction the words from the last to the first.
            values = [value.numpy()[0, :: -1 if direction else 1] for value in gates]
            name = f"layer {layer + 1} {directions[direction]}".rstrip()
            layers.append(LayerGates._make([name, *values, influence.numpy()]))
        return tuple(layers)

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.int32), tf.TensorSpec([], tf.int32)],
        autograph=False,
    )
    def _gates(self, ids: tf.Tensor, label: tf.Tensor) -> list[tuple[Gates, tf.Tensor]]:
        """Returns each layer's gates for one review, and its units' influence <float32>[units]."""
        network = self._predictor.network
        with tf.GradientTape() as tape:
            recorder = Recorder(tape)
            read = inputs(network, ids[tf.newaxis])
            logits = network.with_kernel(recorder).logits(read, tf.size(ids)[tf.newaxis])
            value = log_odds(logits, label)
        joined = [
            Gates(*(network.segments.joined(part, tf.size(ids)) for part in gates))
            for gates in recorder.gates
        ]
        return list(zip(joined, tape.gradient(value, recorder.factors), strict=True))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32)], autograph=False)
    def _probabilities(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns the probability of each label <float32>[labels] for one review."""
        network = in_float32(self._predictor.network)
        return network.probabilities(inputs(network, ids[tf.newaxis]), tf.size(ids)[tf.newaxis])[0]
