"""Compares the training speed of this project's loop, Keras's `fit` and PyTorch on the CPU.

    python -m benchmarks.keras_fit --steps=100

All train the network of configs/imdb.py on random batches of the same training reviews, with the
same optimizer, clipping and dropout (one mask for all tokens of a review). They differ in how the
reviews of a batch are chosen, in the loop, and in the kernels. The speed counts tokens, without
padding. Tracing happens before the measurement; the start of the input pipeline is part of it.
Every contestant has a turn in each round, so that other work on the machine affects all alike.

Each round draws other reviews, whose lengths cause some of the range in the table. Run it on an
idle machine: PyTorch's threads wait for each other, so that other work slows PyTorch down most.
PyTorch is optional. Its row "bucketed by length" uses this project's batches.
"""

import argparse
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import keras
import ml_collections
import numpy as np
import tensorflow as tf

from benchmarks.common import machine, print_table
from configs import imdb
from configs.schema import rules
from input_pipeline import batch_plan, load
from input_pipeline.batch_plan import BatchPlan
from input_pipeline.examples import Examples
from input_pipeline.labels import SENTIMENTS
from input_pipeline.training_set import InMemory
from trainer.learning import steps, train_state
from trainer.learning.objectives.registry import create_objective
from trainer.machines.distribution import distribute
from trainer.machines.strategy import make_strategy

_WARM_UP_STEPS = 3
_BASELINE = "Keras fit, padded_batch, mask"


class Task(NamedTuple):
    """The network and the reviews that all contestants train on."""

    config: ml_collections.ConfigDict
    vocabulary_size: int
    reviews: Examples
    lengths: np.ndarray  # <int64>[reviews], tokens of each


class Contestant(NamedTuple):
    """One row of the table: how it chooses the batches of a round, and how it trains on them."""

    plan: Callable[[Task, int, int], BatchPlan]  # (task, steps, round)
    train: Callable[[BatchPlan], None]


class Result(NamedTuple):
    """What one turn of a contestant measured."""

    tokens_per_second: float
    padding: float  # fraction of token slots that are padding


def load_task(source: str) -> Task:
    """Loads the task of configs/imdb.py with the reviews of `source`."""
    config = imdb.get_config()
    config.data.source = source
    rules.check(config)
    model = config.model
    if (model.pooling, model.bidirectional, model.precision) != ("concat", False, "float32"):
        sys.exit("error: the contestants are written for concat, one direction, float32")
    encoding = load.make_encoding(config.data)
    training_set = load.load_training_data(config.data, encoding).train
    if not isinstance(training_set, InMemory):
        sys.exit(f"error: {source} is in shards; give reviews that are read into memory")
    reviews = training_set.examples
    return Task(config, len(encoding.vocabulary), reviews, reviews.lengths)


def bucketed(task: Task, count: int, turn: int) -> BatchPlan:
    """Plans `count` steps, each with reviews of about one length, as this project does."""
    config = task.config
    batch = config.train.batch_size
    epochs = -(-count // batch_plan.steps_per_epoch(len(task.lengths), batch))
    plans = [
        batch_plan.training_plan(
            task.lengths, batch, config.data.width_step, config.seed, epochs * turn + epoch
        )
        for epoch in range(epochs)
    ]
    ids = np.concatenate([plan.ids for plan in plans])[:count]
    return BatchPlan(ids, np.concatenate([plan.widths for plan in plans])[:count])


def shuffled(task: Task, count: int, turn: int) -> BatchPlan:
    """Plans `count` steps of random reviews, each step as wide as its longest review."""
    batch = task.config.train.batch_size
    generator = np.random.default_rng([task.config.seed, turn])
    epochs = -(-count * batch // len(task.lengths))
    order = [generator.permutation(len(task.lengths)) for _ in range(epochs)]
    ids = np.concatenate(order)[: count * batch].reshape(count, batch).astype(np.int32)
    return BatchPlan(ids, task.lengths[ids].max(axis=1))


def longhaul_loop(task: Task) -> Callable[[BatchPlan], None]:
    """Returns a function that trains on a plan with this project's loop."""
    config = task.config
    strategy, objective = make_strategy(config), create_objective(config, SENTIMENTS)
    per_epoch = batch_plan.steps_per_epoch(len(task.reviews), config.train.batch_size)
    with strategy.scope():
        state = train_state.create(objective, config, task.vocabulary_size)
    total_steps = config.train.epochs * per_epoch
    train_steps = steps.make_train_steps(strategy, objective, state, config, total_steps)

    def train(plan: BatchPlan) -> None:
        iterator = distribute(strategy, task.reviews, plan)
        for first in range(0, len(plan), config.train.steps_per_call):
            count = min(config.train.steps_per_call, len(plan) - first)
            results = train_steps(iterator, tf.constant(count))
            for values in results:  # the trainer reads them all, for its log
                values.numpy()

    return train


def keras_fit(task: Task, mask: bool) -> Callable[[BatchPlan], None]:
    """Returns a function that trains on a plan with Keras's `fit` and `padded_batch`.

    Without `mask` the network pools over the padding as well.
    """
    config, dropout = task.config, task.config.model.dropout
    inputs = keras.Input([None], dtype="int32")
    size = config.model.embedding_size
    states = keras.layers.Embedding(task.vocabulary_size, size, mask_zero=mask)(inputs)
    states = keras.layers.SpatialDropout1D(dropout)(states)
    for units in config.model.layer_sizes:
        states = keras.layers.LSTM(units, return_sequences=True)(states)
        states = keras.layers.SpatialDropout1D(dropout)(states)
    # With a mask the LSTM repeats its last state over the padding, which changes neither the last
    # state nor the largest.
    pooled = [
        states[:, -1],
        keras.layers.GlobalMaxPooling1D()(states),
        keras.layers.GlobalAveragePooling1D()(states),
    ]
    logits = keras.layers.Dense(1)(keras.layers.Concatenate()(pooled))
    model = keras.Model(inputs, logits)
    optimizer = config.optimizer
    model.compile(
        optimizer=keras.optimizers.Adam(
            optimizer.learning_rate,
            optimizer.beta1,
            optimizer.beta2,
            optimizer.epsilon,
            global_clipnorm=optimizer.clip_norm,
        ),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)],
    )
    tokens, labels = task.reviews.tokens, tf.constant(task.reviews.labels, tf.float32)

    def train(plan: BatchPlan) -> None:
        dataset = tf.data.Dataset.from_tensor_slices(plan.ids.ravel())
        dataset = dataset.map(lambda i: (tokens[i], labels[i]), num_parallel_calls=tf.data.AUTOTUNE)
        dataset = dataset.padded_batch(config.train.batch_size).prefetch(tf.data.AUTOTUNE)
        model.fit(dataset, verbose=0)

    return train


def take_turn(task: Task, contestant: Contestant, count: int, turn: int) -> Result:
    """Trains for `count` steps and measures; `turn` decides on which reviews."""
    plan = contestant.plan(task, count, turn)
    present = plan.ids != batch_plan.NO_REVIEW
    real = np.where(present, task.lengths[plan.ids], 0).sum()
    begin = time.perf_counter()
    contestant.train(plan)
    seconds = time.perf_counter() - begin
    return Result(real / seconds, 1.0 - real / (plan.widths.sum() * plan.ids.shape[1]))


def show(results: dict[str, list[Result]]) -> None:
    """Prints the table. A contestant without results is one whose library is not installed."""

    def median(name: str) -> float:
        return statistics.median(result.tokens_per_second for result in results[name])

    rows: list[tuple[str, ...]] = [("", "tokens/s", "range", "ratio", "padding")]
    for name, turns in results.items():
        if not turns:
            rows.append((name, "torch not installed", "", "", ""))
            continue
        rates = [result.tokens_per_second for result in turns]
        padding = statistics.mean(result.padding for result in turns)
        spread = f"{min(rates):,.0f}-{max(rates):,.0f}"
        ratio = f"{median(name) / median(_BASELINE):.2f}"
        rows.append((name, f"{median(name):,.0f}", spread, ratio, f"{padding:.1%}"))
    print_table(rows)


def main() -> None:
    """Runs the rounds and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=100, help="of each contestant in a round")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--data_source", default="tfds:imdb_reviews", help="as config.data.source")
    args = parser.parse_args()
    tf.config.set_visible_devices([], "GPU")  # the PyTorch loop uses the CPU too
    keras.utils.set_random_seed(0)
    task = load_task(args.data_source)
    contestants = {
        "longhaul": Contestant(bucketed, longhaul_loop(task)),
        _BASELINE: Contestant(shuffled, keras_fit(task, mask=True)),
        "Keras fit, padded_batch, no mask": Contestant(shuffled, keras_fit(task, mask=False)),
    }
    with_torch = {"PyTorch, shuffled": shuffled, "PyTorch, bucketed by length": bucketed}
    results: dict[str, list[Result]] = {name: [] for name in (*contestants, *with_torch)}
    versions = f"TensorFlow {tf.__version__}, Keras {keras.__version__}"
    if importlib.util.find_spec("torch"):
        import torch

        from benchmarks.torch_lstm import training_loop

        versions += f", PyTorch {torch.__version__} on {torch.get_num_threads()} threads"
        for name, plan in with_torch.items():
            contestants[name] = Contestant(
                plan, training_loop(task.config, task.vocabulary_size, task.reviews)
            )
    for contestant in contestants.values():
        take_turn(task, contestant, _WARM_UP_STEPS, turn=args.rounds)
    for turn in range(args.rounds):
        for name, contestant in contestants.items():
            results[name].append(take_turn(task, contestant, args.steps, turn))
    print(f"{machine()}; {versions}")
    batch, cap = task.config.train.batch_size, task.config.data.max_tokens
    print(
        f"{len(task.reviews):,} reviews of {task.config.data.source}, cut to {cap} tokens; "
        f"{args.rounds} rounds of {args.steps} batches of {batch}"
    )
    show(results)


if __name__ == "__main__":
    main()
