"""What all contestants of `benchmarks.peers` train on, and how they choose batches of it.

    task = read_task(path, seed=0, epochs=3)        # of a file that `reading.store_reviews` wrote
    plan = shuffled(task, first=180, count=180)     # steps 180 to 359 of a training

Steps are counted through all epochs of a training. Nothing here imports TensorFlow: a process with
PyTorch and Triton, which comes with it, crashes when TensorFlow is loaded as well.
"""

from pathlib import Path
from typing import NamedTuple, Protocol

import ml_collections
import numpy as np

from configs import imdb_lstm
from configs.schema import rules
from input_pipeline import batch_plan
from input_pipeline.batch_plan import BatchPlan
from storage.errors import UserError


class Reviews(NamedTuple):
    """Tokenised reviews with one of two labels."""

    tokens: np.ndarray  # ids <int32>[tokens], of all reviews one after the other
    lengths: np.ndarray  # <int64>[reviews], tokens of each
    labels: np.ndarray  # <int32>[reviews], 1 for positive


class Task(NamedTuple):
    """The reviews, and the network that reads them."""

    config: ml_collections.ConfigDict
    vocabulary_size: int
    reviews: Reviews  # to train on
    validation: Reviews

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches with all reviews."""
        return batch_plan.steps_per_epoch(len(self.reviews.labels), self.config.train.batch_size)

    @property
    def total_steps(self) -> int:
        """The number of steps after which the learning rate is 0."""
        return self.config.train.epochs * self.steps_per_epoch


class Trainer(Protocol):
    """A contestant: a network and a loop that trains it."""

    task: Task

    def train(self, plan: BatchPlan) -> None:
        """Trains on the steps of a plan and returns when they are done."""

    def accuracy(self) -> float:
        """Returns the accuracy on the reviews held out for validation."""


def standard_config(seed: int = 0, epochs: int = 0) -> ml_collections.ConfigDict:
    """Returns configs/imdb_lstm.py; `epochs` of 0 are the config's own."""
    config = imdb_lstm.get_config()
    config.seed = seed
    config.train.epochs = epochs or config.train.epochs
    rules.check(config)
    model, schedule = config.model, config.optimizer.schedule
    form = (model.pooling, model.bidirectional, model.precision, schedule)
    if form != ("concat", False, "float32", "cosine"):
        raise UserError(f"configs/imdb_lstm.py: got {form}; the contestants are for another one")
    return config


def read_task(path: Path, seed: int, epochs: int = 0) -> Task:
    """Reads the reviews of a file, for `standard_config(seed, epochs)`."""
    with np.load(path) as stored:
        parts = [
            Reviews(*(stored[f"{part}_{field}"] for field in Reviews._fields))
            for part in ("train", "validation")
        ]
        return Task(standard_config(seed, epochs), int(stored["vocabulary_size"]), *parts)


def bucketed(task: Task, first: int, count: int) -> BatchPlan:
    """Plans `count` steps, each with reviews of about one length, as longhaul's trainer does."""
    config, per_epoch = task.config, task.steps_per_epoch
    epochs = range(first // per_epoch, -(-(first + count) // per_epoch))
    plans = [
        batch_plan.training_plan(
            task.reviews.lengths,
            config.train.batch_size,
            config.data.width_step,
            config.seed,
            epoch,
        )
        for epoch in epochs
    ]
    steps = slice(first - epochs.start * per_epoch, first - epochs.start * per_epoch + count)
    ids, widths = ([getattr(plan, part) for plan in plans] for part in ("ids", "widths"))
    return BatchPlan(np.concatenate(ids)[steps], np.concatenate(widths)[steps])


def shuffled(task: Task, first: int, count: int) -> BatchPlan:
    """Plans `count` steps of random reviews, each step as wide as its longest review.

    One epoch follows the other, so that every batch is full.
    """
    batch, reviews = task.config.train.batch_size, len(task.reviews.labels)
    places = np.arange(first * batch, (first + count) * batch)
    epochs = range(places[0] // reviews, places[-1] // reviews + 1)
    orders = [
        np.random.default_rng([task.config.seed, epoch]).permutation(reviews) for epoch in epochs
    ]
    ids = np.concatenate(orders)[places - epochs.start * reviews].reshape(count, batch)
    return BatchPlan(ids.astype(np.int32), task.reviews.lengths[ids].max(axis=1))


def tokens_and_padding(task: Task, plan: BatchPlan) -> tuple[int, float]:
    """Returns the tokens of a plan's reviews, and the fraction of token slots that are padding."""
    present = plan.ids != batch_plan.NO_REVIEW
    tokens = int(np.where(present, task.reviews.lengths[plan.ids], 0).sum())
    return tokens, 1.0 - tokens / int(plan.widths.sum() * plan.ids.shape[1])
