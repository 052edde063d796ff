"""Measures the memory and time that training from shards takes.

    python -m benchmarks.shards --reviews=5000000

Makes a set of reviews of 2 to 30 random tokens in a temporary folder, 13 to 65 bytes each. Each row
of the table is a new process that reads batches of the set: a whole epoch; the first batch from the
first, the middle and the last step on; a whole epoch with all reviews in memory, as in a run
without shards; and a whole epoch from a Cloud Storage server on this machine, with a cache of a
quarter of the set. `ready` is the time from the start of Python to the first batch, `first batch`
the part of it after the set is opened. Memory is the largest resident set of the process. At the
end comes the time from the command to the first step of a training run of `configs/imdb_lstm.py`.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.checkpointing import bucket
from benchmarks.common import machine, metrics, print_table, run, training, wait_until
from input_pipeline import text
from input_pipeline.labels import SENTIMENTS
from input_pipeline.shards import format as shard_format
from input_pipeline.shards import reader
from input_pipeline.shards.cache import ShardCache
from input_pipeline.shards.format import Index, PackedReviews
from input_pipeline.training_set import InMemory, Sharded, TrainingSet
from input_pipeline.vocabulary import Vocabulary
from storage.store import Store, open_store

_VOCABULARY_SIZE = 20_000
_SHORTEST, _LONGEST = 2, 30  # tokens
_HELD_OUT = 10_000  # reviews
_BATCH, _WIDTH_STEP, _MAX_TOKENS = 64, 16, 512
_URL = "gs://bucket/shards"


def make(store: Store, split: str, reviews: int, shard_reviews: int) -> int:
    """Writes a set of random reviews; returns its size in bytes."""
    tokens = (f"word{token_id}" for token_id in range(2, _VOCABULARY_SIZE))
    vocabulary = Vocabulary(("<pad>", "<unk>", *tokens), text.WORDS)
    store.write("vocabulary.txt", vocabulary.to_bytes())
    dtype, shards = shard_format.id_dtype(_VOCABULARY_SIZE), []
    for number, first in enumerate(range(0, reviews, shard_reviews)):
        generator = np.random.default_rng(number)
        count = min(shard_reviews, reviews - first)
        lengths = generator.integers(_SHORTEST, _LONGEST + 1, count, np.uint32)
        ids = generator.integers(2, _VOCABULARY_SIZE, lengths.sum(), dtype)
        packed = PackedReviews(ids, lengths, generator.integers(0, 2, count, np.uint8))
        shard, data = shard_format.encode(packed, number, dtype)
        store.write(f"{split}/{shard.name}", data)
        shards.append(shard)
    index = Index(dtype, vocabulary.digest, SENTIMENTS.names, "random", tuple(shards))
    store.write(f"{split}/{shard_format.INDEX}", index.to_bytes())
    return sum(shard.size(dtype) for shard in shards)


def read_batches(url: str, start: str, steps: int, memory: bool, cache: str, limit: int) -> None:
    """Reads batches and prints the measurements as JSON.

    It reads `steps` of them, or all for -1, from the first, middle or last step on. With `memory`
    it loads all reviews first. `limit` is the size of the cache in bytes.
    """
    shard_set = reader.open_set(
        open_store(url), "train", ShardCache(Path(cache), limit) if cache else None
    )
    begin = time.perf_counter()
    reviews: TrainingSet
    if memory:
        reviews = InMemory(shard_set.examples().shortened(_MAX_TOKENS, "head_tail"))
    else:
        reviews = Sharded(shard_set, _MAX_TOKENS, "head_tail")
    epoch = reviews.epoch(_BATCH, _WIDTH_STEP, seed=0, epoch=0)
    first_step = {"first": 0, "middle": len(epoch) // 2, "last": len(epoch) - 1}[start]
    rows, first = 0.0, 0.0
    with epoch.faults():
        for batch in epoch.batches(1, first_step).take(steps):
            rows += float(batch.weights.numpy().sum())
            first = first or time.perf_counter() - begin
    seconds = time.perf_counter() - begin - first
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - _start_of_process()
    print(
        json.dumps(
            {
                "ready": age - seconds,
                "first": first,
                "rate": rows / seconds if steps < 0 else 0.0,
                "rows": rows,
                "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                "disk": sum(f.stat().st_size for f in Path(cache).glob("*")) if cache else 0,
            }
        )
    )


def time_to_first_step(url: str, folder: Path) -> float:
    """Returns the seconds from the command of a training run to its first line of metrics."""
    overrides = (f"data.source=shards:{url}", "train.log_every_steps=1")
    log, begin = folder / "log", time.monotonic()
    with training("configs/imdb_lstm.py", folder / "run", log, *overrides) as process:
        done = wait_until(process, log, lambda: bool(metrics(folder / "run")), poll=0.005)
        process.kill()
    return done - begin


def _start_of_process() -> float:
    """Returns when this process was started, in seconds after the start of the machine."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def measured_row(name: str, url: str, *options: str) -> tuple[str, ...]:
    """Measures in a new process with these options; returns a row of the table."""
    command = [sys.executable, "-m", "benchmarks.shards", f"--child={url}", *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    values = json.loads(done.stdout.splitlines()[-1])
    return (
        name,
        f"{values['ready']:.1f} s",
        f"{values['first']:.2f} s",
        f"{values['rate']:,.0f}" if values["rate"] else "",
        f"{values['rows']:,.0f}",
        f"{values['peak'] / 2**20:,.0f} MiB",
        f"{values['disk'] / 1e6:,.0f} MB" if values["disk"] else "",
    )


def main() -> None:
    """Makes the sets and prints the table; or, in a process that it starts, measures one row."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--reviews", type=int, default=5_000_000)
    parser.add_argument("--shard_reviews", type=int, default=65_536)
    # For the processes that this one starts.
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    parser.add_argument("--start", default="first", help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, default=-1, help=argparse.SUPPRESS)
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--cache", default="", help=argparse.SUPPRESS)
    parser.add_argument("--limit", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        read_batches(args.child, args.start, args.steps, args.memory, args.cache, args.limit)
        return
    with tempfile.TemporaryDirectory(prefix="longhaul-") as folder, bucket():
        begin = time.perf_counter()
        size = make(open_store(folder), "train", args.reviews, args.shard_reviews)
        seconds = time.perf_counter() - begin
        make(open_store(_URL), "train", args.reviews, args.shard_reviews)
        for split in ("validation", "test"):
            make(open_store(folder), split, _HELD_OUT, args.shard_reviews)
        rows = [measured_row("shards: an epoch", folder)]
        for start in ("first", "middle", "last"):
            options = (f"--start={start}", "--steps=1")
            rows.append(measured_row(f"shards: from the {start} step", folder, *options))
        rows.append(measured_row("memory: an epoch", folder, "--memory"))
        cache = (f"--cache={folder}/cache", f"--limit={size // 4}")
        rows.append(measured_row("bucket, cache of a quarter: an epoch", _URL, *cache))
        start_up = time_to_first_step(folder, Path(folder))
    print(
        f"{machine()}; {args.reviews:,} reviews of {_SHORTEST} to {_LONGEST} tokens, "
        f"{size / 1e6:,.0f} MB in shards of {args.shard_reviews:,}, made in {seconds:.1f} s; "
        f"batches of {_BATCH}"
    )
    headings = ("", "ready", "first batch", "reviews/s", "reviews", "peak memory", "cache")
    print_table([headings, *rows])
    print(f"`python -m trainer` from the command to its first step: {start_up:.1f} s")


if __name__ == "__main__":
    run(main)
