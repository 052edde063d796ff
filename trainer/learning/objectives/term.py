"""A loss term beside the classification of reviews: one interface.

    frozen = term.frozen(network, batch, key)       # outside the gradient tape
    shift = term.shift(frozen)                      # of the embeddings, or None
    total = term.loss(logits, batch, frozen)        # of the logits of the shifted embeddings

`objective.terms` of a config holds the factors of the terms, by their names in `registry.TERMS`.
"""

from typing import Any, Protocol

import tensorflow as tf

from input_pipeline.pipeline import Batch
from trainer.model.dropout import DropoutKey
from trainer.model.network import Classifier


class Term(Protocol):
    """A loss of a classifier, summed over the reviews of a part of a batch."""

    work: float  # what it adds to `Objective.work`
    needs_label: bool  # whether reviews without a label count nothing in it

    def weight(self, batch: Batch) -> tf.Tensor:
        """Returns the number of reviews that the loss is of <float32>[]."""
        ...

    def frozen(self, network: Classifier, batch: Batch, key: DropoutKey) -> Any:
        """Computes what no gradient of the weights flows through."""
        ...

    def shift(self, frozen: Any) -> tf.Tensor | None:
        """Returns what is added to the embeddings <float32>[batch, time, width], or None."""
        ...

    def loss(self, logits: tf.Tensor, batch: Batch, frozen: Any) -> tf.Tensor:
        """Returns the sum of the loss <float32>[], given the logits of the shifted embeddings."""
        ...
