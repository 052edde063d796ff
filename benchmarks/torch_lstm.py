"""The network and a training loop in PyTorch, for `benchmarks.keras_fit`; needs torch.

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

# TensorFlow's threads take denormal numbers for 0, PyTorch's only when told to. A gradient is full
# of them by the time it has come back over many words, and a step took ten times as long. Threads
# inherit it from the one that starts them, so it comes before any work.
torch.set_flush_denormal(True)


class StackedLSTM(nn.Module):
    """One logit a review from last, largest and mean state, otherwise as `trainer.model`."""

    def __init__(self, config: ml_collections.ConfigDict, vocabulary_size: int):
        """`config` is the `model` part of a config."""
        super().__init__()
        self._dropout = config.dropout
        sizes = (config.embedding_size, *config.layer_sizes)
        self.embedding = nn.Embedding(vocabulary_size, config.embedding_size)
        self.layers = nn.ModuleList(
            nn.LSTM(inputs, units, batch_first=True) for inputs, units in itertools.pairwise(sizes)
        )
        self.head = nn.Linear(3 * sizes[-1], 1)

    def forward(self, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Logits <float32>[batch] of ids <int64>[batch, time] with <int64>[batch] words each."""
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
        """Dropout on <float32>[batch, time, units], one mask for all words of a review."""
        ones = states.new_ones(states.shape[0], 1, states.shape[2])
        return states * nn.functional.dropout(ones, self._dropout)


def training_loop(
    config: ml_collections.ConfigDict, vocabulary_size: int, reviews: Examples
) -> Callable[[BatchPlan], None]:
    """Trains on a plan's steps; pads in NumPy, which takes well under a millisecond a step."""
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
            for place, (start, length) in enumerate(zip(starts[ids], lengths, strict=True)):
                tokens[place, :length] = values[start : start + length]
            optimizer.zero_grad()
            loss = nn.functional.binary_cross_entropy_with_logits(
                model(torch.from_numpy(tokens), torch.from_numpy(lengths)),
                torch.from_numpy(reviews.labels[ids]).float(),
            )
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), config.optimizer.clip_norm)
            optimizer.step()

    return train
