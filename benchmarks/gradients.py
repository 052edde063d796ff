"""What the embedding's gradient costs a step and the wire, dense or sparse.

    python -m benchmarks.gradients

The first table is of whole training steps of `configs/imdb.py` on random reviews, one process, with
growing vocabularies: what grows with them is the dense gradient, its norm, and Adam on all rows.
The second is of two processes on this machine that sum a gradient over TensorFlow's ring, through
the loopback: dense as the training step has it, and as the slices of the words that occurred. Each
row is in processes of its own.
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

from benchmarks.common import machine, print_table
from configs import imdb
from input_pipeline.pipeline import Batch
from trainer.learning import steps, train_state

_VOCABULARIES = (2_000, 20_000, 100_000, 500_000)
_REVIEWS, _WORDS, _EMBEDDING = 64, 240, 128
_ROUNDS = 10


def median_ms(work: Callable[[], object]) -> float:
    """Of several rounds after two to warm up."""
    times = []
    for _ in range(_ROUNDS + 2):
        begin = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - begin))
    return statistics.median(times[2:])


def step(vocabulary: int) -> dict[str, float]:
    """A training step on random words of one replica."""
    config = imdb.get_config()
    state = train_state.create(config, vocabulary)
    words = tf.random.uniform([_REVIEWS, _WORDS], 2, vocabulary, tf.int32)
    ones = tf.ones(_REVIEWS)
    batch = Batch(words, tf.fill([_REVIEWS], _WORDS), ones, ones)
    iterator = iter(tf.data.Dataset.from_tensors(batch).repeat())
    train = steps.make_train_steps(tf.distribute.get_strategy(), state, config, total_steps=10**6)
    ms = median_ms(lambda: train(iterator, tf.constant(1)))
    return {"ms": ms, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def reduce(vocabulary: int, sparse: bool) -> dict[str, float]:
    """The sum of a gradient over the workers that TF_CONFIG names."""
    communication = tf.distribute.experimental.CommunicationImplementation.RING
    strategy = tf.distribute.MultiWorkerMirroredStrategy(
        communication_options=tf.distribute.experimental.CommunicationOptions(
            implementation=communication
        )
    )
    tokens = _REVIEWS // 2 * _WORDS  # the replica's half of the batch

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
    """What the first of so many processes has measured."""
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


def main() -> None:
    """Runs the processes and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    # For the processes that it starts.
    parser.add_argument("--step", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--reduce", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--sparse", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step or args.reduce:
        found = step(args.step) if args.step else reduce(args.reduce, args.sparse)
        print(json.dumps(found))
        return
    print(f"{machine()}; {_REVIEWS} reviews of {_WORDS} words, embedding of {_EMBEDDING}")
    rows = [("vocabulary", "table", "step", "peak memory")]
    for vocabulary in _VOCABULARIES:
        found = child(f"--step={vocabulary}")
        size = vocabulary * _EMBEDDING * 4 / 1e6
        rows.append(
            (
                f"{vocabulary:,}",
                f"{size:.0f} MB",
                f"{found['ms']:.0f} ms",
                f"{found['peak']:,.0f} MiB",
            )
        )
    print_table(rows)
    print()
    rows = [("two workers", "moved by each", "time")]
    for vocabulary in _VOCABULARIES:
        ms = child(f"--reduce={vocabulary}", workers=2)["ms"]
        size = vocabulary * _EMBEDDING * 4 / 1e6
        rows.append((f"dense, vocabulary {vocabulary:,}", f"{size:.0f} MB", f"{ms:.0f} ms"))
    ms = child("--reduce=1", "--sparse", workers=2)["ms"]
    size = _REVIEWS // 2 * _WORDS * (_EMBEDDING * 4 + 8) / 1e6
    rows.append(("sparse, any vocabulary", f"{size:.1f} MB", f"{ms:.0f} ms"))
    print_table(rows)


if __name__ == "__main__":
    main()
