"""What `benchmarks.step` measures in processes of their own: layers, whole steps, a matrix product.

with own_process("benchmarks.step.layers") as call:
    seconds = call("time_layers", "cpu", 2, True, 64, 256, 9)

A process sets its numbers of threads once, so it serves one function, with one number of slices.
"""

import functools
import statistics
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from configs import imdb_lstm
from input_pipeline.batch_plan import BatchPlan
from input_pipeline.examples import Examples
from input_pipeline.labels import SENTIMENTS
from trainer.learning import steps, train_state
from trainer.learning.objectives.registry import create_objective
from trainer.machines.distribution import distribute
from trainer.machines.strategy import make_strategy
from trainer.machines.threads import set_threads
from trainer.model.kernels import KERNELS

_WARM_UP_CALLS = 2


def time_layers(
    kernel: str, slices: int, chosen_threads: bool, rows: int, width: int, calls: int
) -> float:
    """Returns the seconds of the LSTM layers of configs/imdb_lstm.py, forward and backward.

    The median of `calls`. The batch is computed in slices side by side, whose gradients are added,
    with the threads that the trainer chooses or with TensorFlow's own.
    """
    if chosen_threads:
        set_threads(imdb_lstm.get_config().strategy, on_cpus=True)
    gradients = _layer_gradients(kernel, slices, rows)
    inputs = tf.random.stateless_normal(
        [rows, width, imdb_lstm.get_config().model.embedding_size], [0, 0]
    )
    return statistics.median(_times(lambda: gradients(inputs), calls))


def time_step(rows: int, width: int, calls: int) -> float:
    """Returns the seconds of a whole training step of random reviews, as the trainer does it."""
    strategy, train = _train_steps(rows)
    vocabulary = imdb_lstm.get_config().data.vocabulary_size
    tokens = np.random.default_rng(0).integers(2, vocabulary, rows * width, np.int32)
    reviews = Examples(
        tf.RaggedTensor.from_uniform_row_length(tokens, width), np.arange(rows, dtype=np.int32) % 2
    )
    count = _WARM_UP_CALLS + calls
    ids = np.tile(np.arange(rows, dtype=np.int32), [count, 1])
    iterator = distribute(strategy, reviews, BatchPlan(ids, np.full(count, width, np.int32)))
    return statistics.median(_times(lambda: train(iterator, tf.constant(1)), calls))


def time_product(side: int, calls: int) -> float:
    """Returns the least seconds of a product of two matrices <float32>[side, side].

    On TensorFlow's own threads, which use all cores.
    """
    matrix = tf.random.stateless_normal([side, side], [0, 0])
    product = tf.function(lambda: tf.matmul(matrix, matrix), autograph=False)
    return min(_times(product, calls))


@functools.cache
def _layer_gradients(kernel: str, slices: int, rows: int) -> Callable[[tf.Tensor], list]:
    """Returns a function from inputs <float32>[rows, time, width] to all gradients."""
    config = imdb_lstm.get_config().model
    layers, size = [], config.embedding_size
    for units in config.layer_sizes:
        layers.append(keras.layers.LSTM(units, return_sequences=True))
        layers[-1].build((None, None, size))
        size = units
    weights = [weight.value for layer in layers for weight in layer.trainable_variables]

    def of_slice(states: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(inputs := states)
            for layer in layers:
                states = KERNELS[kernel](layer, states, True)
            loss = tf.reduce_sum(states * states)
        return tape.gradient(loss, [*weights, inputs])

    signature = [tf.TensorSpec([rows, None, config.embedding_size])]

    @tf.function(autograph=False, input_signature=signature)
    def gradients(inputs: tf.Tensor) -> list:
        parts = [of_slice(part) for part in tf.split(inputs, slices)]
        *of_weights, of_inputs = zip(*parts, strict=True)
        return [*map(tf.add_n, of_weights), *of_inputs]

    return gradients


@functools.cache
def _train_steps(rows: int) -> tuple[tf.distribute.Strategy, Callable]:
    """Returns the trainer's strategy, and its function that does steps of `rows` reviews."""
    config = imdb_lstm.get_config()
    config.train.batch_size = rows
    strategy = make_strategy(config)
    objective = create_objective(config, SENTIMENTS)
    with strategy.scope():
        state = train_state.create(objective, config, config.data.vocabulary_size)
    return strategy, steps.make_train_steps(strategy, objective, state, config, total_steps=10**6)


def _times(work: Callable[[], object], calls: int) -> list[float]:
    """Returns the seconds of each call, after some that warm up."""
    seconds = []
    for _ in range(_WARM_UP_CALLS + calls):
        begin = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begin)
    return seconds[_WARM_UP_CALLS:]
