"""Measures what the embedding's gradient costs, dense or sparse: a step's time, and the network's.

    python -m benchmarks.gradients

The first table shows whole training steps of `configs/imdb_lstm.py` on random reviews in one
process. Of their time, the parts that grow with the vocabulary are the dense gradient, its norm,
and Adam's update of all rows. The second table shows two processes on this machine that sum a
gradient with TensorFlow's ring, over the loopback: a dense one, as the training step has it, and a
sparse one, made of the slices of the tokens that occurred. Each row is measured in new processes.
"""

import argparse
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import tensorflow as tf

from benchmarks.common import machine, print_table, run
from configs import imdb_lstm
from input_pipeline.labels import SENTIMENTS
from input_pipeline.pipeline import Batch
from trainer.learning import steps, train_state
from trainer.learning.objectives.registry import create_objective

_VOCABULARIES = (2_000, 20_000, 100_000, 500_000)
_REVIEWS, _TOKENS, _EMBEDDING = 64, 240, 128  # tokens of each review
_ROUNDS = 10


def median_ms(work: Callable[[], object]) -> float:
    """Returns the median time of a call in milliseconds, after two calls that warm up."""
    times = []
    for _ in range(_ROUNDS + 2):
        begin = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - begin))
    return statistics.median(times[2:])


def step(vocabulary: int) -> dict[str, float]:
    """Measures a training step of one replica on random tokens: milliseconds, and MiB at most."""
    config = imdb_lstm.get_config()
    objective = create_objective(config, SENTIMENTS)
    state = train_state.create(objective, config, vocabulary)
    tokens = tf.random.uniform([_REVIEWS, _TOKENS], 2, vocabulary, tf.int32)
    lengths, labels = tf.fill([_REVIEWS], _TOKENS), tf.ones(_REVIEWS, tf.int32)
    batch = Batch(tokens, lengths, labels, tf.ones(_REVIEWS))
    iterator = iter(tf.data.Dataset.from_tensors(batch).repeat())
    strategy = tf.distribute.get_strategy()
    train = steps.make_train_steps(strategy, objective, state, config, total_steps=10**6)
    ms = median_ms(lambda: train(iterator, tf.constant(1)))
    return {"ms": ms, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def reduce(vocabulary: int, sparse: bool) -> dict[str, float]:
    """Measures the sum of a gradient over the workers that TF_CONFIG names, in milliseconds."""
    communication = tf.distribute.experimental.CommunicationImplementation.RING
    strategy = tf.distribute.MultiWorkerMirroredStrategy(
        communication_options=tf.distribute.experimental.CommunicationOptions(
            implementation=communication
        )
    )
    tokens = _REVIEWS // 2 * _TOKENS  # of the replica's half of the batch

    @tf.function
    def reduced() -> tf.Tensor:
        def replica() -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            if not sparse:
                return context.all_reduce("sum", tf.ones([vocabulary, _EMBEDDING]))[0, 0]
            values = context.all_gather(tf.ones([tokens, _EMBEDDING]), axis=0)
            ids = context.all_gather(tf.zeros([tokens], tf.int64), axis=0)
            return values[0, 0] + tf.cast(ids[0], tf.float32)

        results = strategy.run(replica)
        return strategy.experimental_local_results(results)[0]

    return {"ms": median_ms(lambda: reduced().numpy())}


def child(*options: str, workers: int = 1) -> dict[str, float]:
    """Runs this module in `workers` processes; returns what the first of them measured."""
    addresses = []
    for _ in range(workers):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            addresses.append(f"localhost:{free.getsockname()[1]}")
    processes = []
    for index in range(workers):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
        if workers > 1:
            environment["TF_CONFIG"] = json.dumps(task)
        command = [sys.executable, "-m", "benchmarks.gradients", *options]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, env=environment))
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        sys.exit("error: a process failed")
    return json.loads(outputs[0].splitlines()[-1])


def dense_megabytes(vocabulary: int) -> float:
    """Returns the size of the embedding, and of its dense gradient, in MB."""
    return vocabulary * _EMBEDDING * 4 / 1e6


def step_rows() -> list[tuple[str, ...]]:
    """Measures a training step with each vocabulary; returns the rows of the table."""
    rows: list[tuple[str, ...]] = [("vocabulary", "table", "step", "peak memory")]
    for vocabulary in _VOCABULARIES:
        found = child(f"--step={vocabulary}")
        size = f"{dense_megabytes(vocabulary):.0f} MB"
        rows.append((f"{vocabulary:,}", size, f"{found['ms']:.0f} ms", f"{found['peak']:,.0f} MiB"))
    return rows


def reduce_rows() -> list[tuple[str, ...]]:
    """Measures the sum of each gradient over two workers; returns the rows of the table."""
    rows: list[tuple[str, ...]] = [("two workers", "moved by each", "time")]
    for vocabulary in _VOCABULARIES:
        ms = child(f"--reduce={vocabulary}", workers=2)["ms"]
        size = f"{dense_megabytes(vocabulary):.0f} MB"
        rows.append((f"dense, vocabulary {vocabulary:,}", size, f"{ms:.0f} ms"))
    ms = child("--reduce=1", "--sparse", workers=2)["ms"]
    size = f"{_REVIEWS // 2 * _TOKENS * (_EMBEDDING * 4 + 8) / 1e6:.1f} MB"
    return [*rows, ("sparse, any vocabulary", size, f"{ms:.0f} ms")]


def main() -> None:
    """Prints the tables; or, in a process that it starts, measures one row."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    # For the processes that this one starts.
    parser.add_argument("--step", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--reduce", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--sparse", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step or args.reduce:
        found = step(args.step) if args.step else reduce(args.reduce, args.sparse)
        print(json.dumps(found))
        return
    print(f"{machine()}; {_REVIEWS} reviews of {_TOKENS} tokens, embedding of {_EMBEDDING}")
    print_table(step_rows())
    print()
    print_table(reduce_rows())


if __name__ == "__main__":
    run(main)
