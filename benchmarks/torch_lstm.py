"""The network and a training loop in PyTorch, for `benchmarks.keras_fit`. Needs torch.

train = training_loop(config, vocabulary_size, reviews)
train(plan)
"""

import itertools
from collections.abc import Callable

import ml_collections
import numpy as np
import torch
from torch import nn

from input_pipeline import batch_plan
from input_pipeline.batch_plan import BatchPlan
from input_pipeline.examples import Examples

# Treats denormal numbers as 0, as TensorFlow's threads do by default. A gradient that has passed
# many tokens is full of them, which made a step ten times slower. Threads inherit the setting from
# the thread that starts them, so it is made before any work.
torch.set_flush_denormal(True)


class StackedLSTM(nn.Module):
    """The network of `trainer.model` with pooling 'concat', in one direction."""

    def __init__(self, config: ml_collections.ConfigDict, vocabulary_size: int):
        """Creates the layers; `config` is the `model` part of a config."""
        super().__init__()
        self._dropout = config.dropout
        sizes = (config.embedding_size, *config.layer_sizes)
        self.embedding = nn.Embedding(vocabulary_size, config.embedding_size)
        self.layers = nn.ModuleList(
            nn.LSTM(inputs, units, batch_first=True) for inputs, units in itertools.pairwise(sizes)
        )
        self.head = nn.Linear(3 * sizes[-1], 1)

    def forward(self, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Returns logits <float32>[batch].

        `tokens` are ids <int64>[batch, time], and `lengths` <int64>[batch] the tokens of each row.
        """
        states = self.embedding(tokens)
        for layer in self.layers:
            states = layer(self._drop(states))[0]
        states = self._drop(states)
        last = states[torch.arange(len(lengths)), lengths - 1]
        padding = (torch.arange(states.shape[1]) >= lengths[:, None])[:, :, None]
        largest = states.masked_fill(padding, -torch.inf).amax(1)
        mean = states.masked_fill(padding, 0.0).sum(1) / lengths[:, None]
        return self.head(torch.cat([last, largest, mean], -1))[:, 0]

    def _drop(self, states: torch.Tensor) -> torch.Tensor:
        """Applies dropout to <float32>[batch, time, units]; a review's tokens share one mask."""
        ones = states.new_ones(states.shape[0], 1, states.shape[2])
        return states * nn.functional.dropout(ones, self._dropout)


def training_loop(
    config: ml_collections.ConfigDict, vocabulary_size: int, reviews: Examples
) -> Callable[[BatchPlan], None]:
    """Returns a function that trains on the steps of a plan.

    It pads in NumPy, which takes well under a millisecond for each step.
    """
    model = StackedLSTM(config.model, vocabulary_size)
    optimizer = torch.optim.Adam(
        model.parameters(),
        config.optimizer.learning_rate,
        (config.optimizer.beta1, config.optimizer.beta2),
        config.optimizer.epsilon,
    )
    values, starts = reviews.tokens.flat_values.numpy(), reviews.tokens.row_starts().numpy()
    all_lengths = reviews.lengths

    def train(plan: BatchPlan) -> None:
        for row, width in zip(plan.ids, plan.widths, strict=True):
            ids = row[row != batch_plan.NO_REVIEW]
            lengths = all_lengths[ids]
            tokens = np.zeros((len(ids), width), np.int64)
            for number, (start, length) in enumerate(zip(starts[ids], lengths, strict=True)):
                tokens[number, :length] = values[start : start + length]
            optimizer.zero_grad()
            loss = nn.functional.binary_cross_entropy_with_logits(
                model(torch.from_numpy(tokens), torch.from_numpy(lengths)),
                torch.from_numpy(reviews.labels[ids]).float(),
            )
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), config.optimizer.clip_norm)
            optimizer.step()

    return train
