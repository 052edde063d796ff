"""What a run learns, how that is measured, and which number is best: one interface.

    objective = create_objective(config, labels)         # see `registry`
    network = objective.network(config, vocabulary_size)
    train_metric_names(objective)                        # ("loss", "accuracy")
    score(objective, {"loss": 0.31, "accuracy": 0.88})   # 0.88, higher is better

The training step, the loop, the checkpoints and the reports know an objective by this interface
only.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from input_pipeline.examples import Examples
from input_pipeline.pipeline import Batch
from trainer.model.dropout import DropoutKey
from trainer.model.network import Encoder

LOSS = "loss"


class Sums(NamedTuple):
    """What a replica computes of its share of a batch; sums over its reviews."""

    losses: tf.Tensor  # <float32>[terms]
    # By name a sum and its weight <float32>[], as in `Objective.train_metrics`.
    metrics: Mapping[str, tuple[tf.Tensor, tf.Tensor]]


class Objective(Protocol):
    """What a run learns.

    The loss of a step is sum_k factor_k * (sum of term k) / (weight of term k), with sums and
    weights over the whole global batch.
    """

    terms: Mapping[str, float]  # the loss terms by name and their factors; the first one's is 1.0
    train_metrics: tuple[str, ...]  # names of the metrics that are summed up in training
    score: str  # the evaluation metric that ranks checkpoints; "-loss" where less is better
    work: float  # of a step, in that of computing the network once forward and once backward
    labelled_only: bool  # whether it learns nothing from the reviews beside the labelled ones

    def at_epoch(self, epoch: int) -> "Objective":
        """Returns what is learned in an epoch, counted from 0; one of a few objects."""
        ...

    def network(self, config: Any, vocabulary_size: int) -> Encoder:
        """Creates the network of a whole config, in the strategy's scope."""
        ...

    def weights(self, batch: Batch) -> tf.Tensor:
        """Returns each term's weight <float32>[terms]; depends on no parameter."""
        ...

    def frozen(self, network: Encoder, batch: Batch, key: DropoutKey) -> Any:
        """Computes what no gradient flows through, such as the direction of a perturbation."""
        ...

    def sums(self, network: Encoder, batch: Batch, key: DropoutKey, frozen: Any) -> Sums:
        """Computes losses and metrics of a part of a batch, inside the gradient tape."""
        ...

    def outputs(self, network: Encoder, batch: Batch) -> tf.Tensor:
        """Returns what the evaluation needs of each review <float32>[batch, ...]."""
        ...

    def evaluate(self, outputs: np.ndarray, reviews: Examples) -> dict[str, float]:
        """Returns metrics by name, "loss" among them, of outputs <float32>[reviews, ...]."""
        ...

    def probabilities(self, outputs: np.ndarray) -> np.ndarray | None:
        """Returns each label's probability <float32>[reviews, labels] of the same outputs.

        The predicted label is the one with the largest. Returns None when the objective predicts no
        labels.
        """
        ...

    def averaged(self, outputs: Sequence[np.ndarray]) -> np.ndarray:
        """Returns outputs whose probabilities are the mean over several networks' outputs.

        All are <float32>[reviews, ...], of the same reviews. Only of an objective with labels.
        """
        ...

    def tables(self, outputs: np.ndarray, reviews: Examples) -> list[str]:
        """Returns lines for people that say more about the same outputs, [] for none."""
        ...


def train_metric_names(objective: Objective) -> tuple[str, ...]:
    """Returns the names of a step's metrics: the loss, its terms if several, then the others."""
    terms = tuple(objective.terms) if len(objective.terms) > 1 else ()
    return (LOSS, *terms, *objective.train_metrics)


def score_metric(objective: Objective) -> str:
    """Returns the name of the evaluation metric that ranks checkpoints."""
    return objective.score.removeprefix("-")


def score(objective: Objective, metrics: Mapping[str, float]) -> float:
    """Returns the number that ranks checkpoints, higher is better, from an evaluation's metrics."""
    value = metrics[score_metric(objective)]
    return -value if objective.score.startswith("-") else value
