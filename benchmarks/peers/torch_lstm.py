"""The contestants of `benchmarks.peers` that are written in PyTorch. Needs torch.

trainer = make_trainer(task, packed=False)
trainer.train(plan)
"""

import itertools
import math

import ml_collections
import numpy as np
import torch
from torch import nn

from benchmarks.peers.task import Reviews, Task, Trainer
from input_pipeline import batch_plan
from input_pipeline.batch_plan import BatchPlan

# Treats denormal numbers as 0, as TensorFlow's threads do by default. A gradient that has passed
# many tokens is full of them, which made a step ten times slower. Threads inherit the setting from
# the thread that starts them, so it is made before any work.
torch.set_flush_denormal(True)


def make_trainer(task: Task, packed: bool) -> Trainer:
    """Returns the contestant; `packed` gives the layers packed sequences, without padding."""
    return _PyTorch(task, packed)


class StackedLSTM(nn.Module):
    """The network of `trainer.model` with pooling 'concat', in one direction."""

    def __init__(self, config: ml_collections.ConfigDict, vocabulary_size: int, packed: bool):
        """Creates the layers, with initial weights of Keras's distributions.

        `config` is the `model` part of a config.
        """
        super().__init__()
        self._dropout, self._packed = config.dropout, packed
        sizes = (config.embedding_size, *config.layer_sizes)
        self.embedding = nn.Embedding(vocabulary_size, config.embedding_size)
        nn.init.uniform_(self.embedding.weight, -0.05, 0.05)
        self.layers = nn.ModuleList(
            nn.LSTM(inputs, units, batch_first=True) for inputs, units in itertools.pairwise(sizes)
        )
        for layer, units in zip(self.layers, config.layer_sizes, strict=True):
            nn.init.xavier_uniform_(layer.weight_ih_l0)
            nn.init.orthogonal_(layer.weight_hh_l0)
            nn.init.zeros_(layer.bias_hh_l0)
            nn.init.zeros_(layer.bias_ih_l0)
            nn.init.ones_(layer.bias_ih_l0[units : 2 * units])  # of the forget gate
        self.head = nn.Linear(3 * sizes[-1], 1)
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Returns logits <float32>[batch].

        `tokens` are ids <int64>[batch, time], and `lengths` <int64>[batch] the tokens of each row.
        """
        states = self.embedding(tokens)
        for layer in self.layers:
            states = self._states(layer, self._drop(states), lengths)
        states = self._drop(states)
        last = states[torch.arange(len(lengths)), lengths - 1]
        padding = (torch.arange(states.shape[1]) >= lengths[:, None])[:, :, None]
        largest = states.masked_fill(padding, -torch.inf).amax(1)
        mean = states.masked_fill(padding, 0.0).sum(1) / lengths[:, None]
        return self.head(torch.cat([last, largest, mean], -1))[:, 0]

    def _states(self, layer: nn.LSTM, inputs: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Returns a layer's states <float32>[batch, time, units]."""
        if not self._packed:
            return layer(inputs)[0]
        packed = nn.utils.rnn.pack_padded_sequence(
            inputs, lengths, batch_first=True, enforce_sorted=False
        )
        return nn.utils.rnn.pad_packed_sequence(
            layer(packed)[0], batch_first=True, total_length=inputs.shape[1]
        )[0]

    def _drop(self, states: torch.Tensor) -> torch.Tensor:
        """Applies dropout to <float32>[batch, time, units]; a review's tokens share one mask."""
        ones = states.new_ones(states.shape[0], 1, states.shape[2])
        return states * nn.functional.dropout(ones, self._dropout, self.training)


class _PyTorch:
    """See `Trainer`."""

    def __init__(self, task: Task, packed: bool):
        self.task = task
        self._reviews, self._validation = _Batches(task.reviews), _Batches(task.validation)
        torch.manual_seed(task.config.seed)
        self._model = StackedLSTM(task.config.model, task.vocabulary_size, packed)
        optimizer = task.config.optimizer
        self._optimizer = torch.optim.Adam(
            self._model.parameters(),
            optimizer.learning_rate,
            (optimizer.beta1, optimizer.beta2),
            optimizer.epsilon,
        )
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer,
            lambda step: 0.5 + 0.5 * math.cos(math.pi * min(step / task.total_steps, 1.0)),
        )

    def train(self, plan: BatchPlan) -> None:
        self._model.train()
        for row, width in zip(plan.ids, plan.widths, strict=True):
            tokens, lengths, labels = self._reviews.batch(row, width)
            self._optimizer.zero_grad()
            loss = nn.functional.binary_cross_entropy_with_logits(
                self._model(tokens, lengths), labels
            )
            loss.backward()
            nn.utils.clip_grad_norm_(self._model.parameters(), self.task.config.optimizer.clip_norm)
            self._optimizer.step()
            self._schedule.step()

    def accuracy(self) -> float:
        config, reviews = self.task.config, self.task.validation
        plan = batch_plan.evaluation_plan(
            reviews.lengths, config.evaluation.batch_size, config.data.width_step
        )
        self._model.eval()
        right = 0
        with torch.no_grad():
            for row, width in zip(plan.ids, plan.widths, strict=True):
                tokens, lengths, labels = self._validation.batch(row, width)
                right += int(((self._model(tokens, lengths) > 0) == (labels > 0)).sum())
        return right / len(reviews.labels)


class _Batches:
    """Reviews in NumPy, which pads them in well under a millisecond for each step."""

    def __init__(self, reviews: Reviews):
        self._tokens, self._lengths = reviews.tokens, reviews.lengths
        self._starts = np.cumsum(reviews.lengths) - reviews.lengths
        self._labels = reviews.labels.astype(np.float32)

    def batch(self, row: np.ndarray, width: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Returns the reviews of a plan's row.

        These are ids <int64>[batch, width], lengths <int64>[batch] and labels <float32>[batch].
        """
        ids = row[row != batch_plan.NO_REVIEW]
        lengths = self._lengths[ids]
        tokens = np.zeros((len(ids), width), np.int64)
        for number, (start, length) in enumerate(zip(self._starts[ids], lengths, strict=True)):
            tokens[number, :length] = self._tokens[start : start + length]
        return tuple(map(torch.from_numpy, (tokens, lengths, self._labels[ids])))
