"""What training from shards takes in memory and time, however large the set is.

    python -m benchmarks.shards --reviews=5000000

Makes a set of reviews of 2 to 30 random words in a temporary folder, 13 bytes to 65 each, and goes
through it in processes of their own: a whole epoch; from the first, the middle and the last step
up to the first batch; the same with all in memory, as a run without shards has it; and through a
Cloud Storage on this machine with a cache of a quarter of the set. `ready` is the time from the
start of Python to the first batch, `first batch` the part of it from the opened set on. Memory is
the largest resident set of the process. Last, the time from the command to the first step of a
training run of `configs/imdb.py` on that set.
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
from benchmarks.common import machine, metrics, print_table, training, wait_until
from input_pipeline.shards import format as shards
from input_pipeline.shards.cache import ShardCache
from input_pipeline.shards.format import Index, Reviews
from input_pipeline.training_set import InMemory, Sharded
from input_pipeline.vocabulary import Vocabulary
from storage.store import Store, open_store

_WORDS = 20_000
_SHORTEST, _LONGEST = 2, 30  # words
_HELD_OUT = 10_000  # reviews
_BATCH, _WIDTH_STEP, _MAX_TOKENS = 64, 16, 512
_URL = "gs://bucket/shards"


def make(store: Store, split: str, reviews: int, shard_reviews: int) -> int:
    """A set of random reviews; returns its bytes."""
    known = Vocabulary(("<pad>", "<unk>", *(f"word{id_}" for id_ in range(2, _WORDS))))
    store.write("vocabulary.txt", known.to_bytes())
    token, made = shards.token_type(_WORDS), []
    for number, first in enumerate(range(0, reviews, shard_reviews)):
        bits = np.random.default_rng(number)
        count = min(shard_reviews, reviews - first)
        lengths = bits.integers(_SHORTEST, _LONGEST + 1, count, np.uint32)
        words = bits.integers(2, _WORDS, lengths.sum(), token)
        part = Reviews(words, lengths, bits.integers(0, 2, count, np.uint8))
        shard, data = shards.encode(part, number, token)
        store.write(f"{split}/{shard.name}", data)
        made.append(shard)
    index = Index(token, known.digest, "random", tuple(made))
    store.write(f"{split}/{shards.INDEX}", index.to_bytes())
    return sum(shard.size(token) for shard in made)


def go_through(url: str, start: str, steps: int, memory: bool, cache: str, limit: int) -> None:
    """Prints as JSON what a process has measured that reads batches and does nothing else."""
    opened = shards.open_set(
        open_store(url), "train", ShardCache(Path(cache), limit) if cache else None
    )
    begin = time.perf_counter()
    if memory:
        reviews = InMemory(opened.examples().shortened(_MAX_TOKENS, "head_tail"))
    else:
        reviews = Sharded(opened, _MAX_TOKENS, "head_tail")
    epoch = reviews.epoch(_BATCH, _WIDTH_STEP, seed=0, epoch=0)
    begin_at = {"first": 0, "middle": len(epoch) // 2, "last": len(epoch) - 1}[start]
    rows, first = 0.0, 0.0
    with epoch.faults():
        for batch in epoch.batches(1, begin_at).take(steps):
            rows += float(batch.weights.numpy().sum())
            first = first or time.perf_counter() - begin
    seconds = time.perf_counter() - begin - first
    started = time.clock_gettime(time.CLOCK_BOOTTIME) - _started()
    print(
        json.dumps(
            {
                "ready": started - seconds,
                "first": first,
                "rate": rows / seconds if steps < 0 else 0.0,
                "rows": rows,
                "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                "disk": sum(f.stat().st_size for f in Path(cache).iterdir()) if cache else 0,
            }
        )
    )


def first_step(url: str, folder: Path) -> float:
    """Seconds from the command of a training run to its first line of metrics."""
    overrides = (f"data.source=shards:{url}", "train.log_every_steps=1")
    log, begin = folder / "log", time.monotonic()
    with training("configs/imdb.py", folder / "run", log, *overrides) as process:
        done = wait_until(process, log, lambda: bool(metrics(folder / "run")), poll=0.005)
        process.kill()
    return done - begin


def _started() -> float:
    """When this process was started, in seconds since the machine was."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def measured(name: str, url: str, *options: str) -> tuple[str, ...]:
    """A row of the table, of a process with these options."""
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
    """Makes the sets, runs the processes and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--reviews", type=int, default=5_000_000)
    parser.add_argument("--shard_reviews", type=int, default=65_536)
    # For the processes that it starts.
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    parser.add_argument("--start", default="first", help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, default=-1, help=argparse.SUPPRESS)
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--cache", default="", help=argparse.SUPPRESS)
    parser.add_argument("--limit", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        go_through(args.child, args.start, args.steps, args.memory, args.cache, args.limit)
        return
    with tempfile.TemporaryDirectory(prefix="longhaul-") as folder, bucket():
        begin = time.perf_counter()
        size = make(open_store(folder), "train", args.reviews, args.shard_reviews)
        seconds = time.perf_counter() - begin
        make(open_store(_URL), "train", args.reviews, args.shard_reviews)
        for split in ("validation", "test"):
            make(open_store(folder), split, _HELD_OUT, args.shard_reviews)
        rows = [measured("shards: an epoch", folder)]
        for start in ("first", "middle", "last"):
            options = (f"--start={start}", "--steps=1")
            rows.append(measured(f"shards: from the {start} step", folder, *options))
        rows.append(measured("memory: an epoch", folder, "--memory"))
        cache = (f"--cache={folder}/cache", f"--limit={size // 4}")
        rows.append(measured("bucket, cache of a quarter: an epoch", _URL, *cache))
        training_from = first_step(folder, Path(folder))
    print(
        f"{machine()}; {args.reviews:,} reviews of {_SHORTEST} to {_LONGEST} words, "
        f"{size / 1e6:,.0f} MB in shards of {args.shard_reviews:,}, made in {seconds:.1f} s; "
        f"batches of {_BATCH}"
    )
    heads = ("", "ready", "first batch", "reviews/s", "reviews", "peak memory", "cache")
    print_table([heads, *rows])
    print(f"`python -m trainer` from the command to its first step: {training_from:.1f} s")


if __name__ == "__main__":
    main()
