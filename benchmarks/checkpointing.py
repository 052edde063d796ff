"""What saving costs a run in a bucket, and how long it takes to resume from there.

    python -m benchmarks.checkpointing --config=configs/imdb.py

Runs the config with a checkpoint every 200 steps in a Cloud Storage on this machine, served by a
process of its own, then restores the last checkpoint several times. The stall is what the training
itself waits for; the upload behind it takes processor time as well, which the words per second
right after a save show. The network between a real bucket and its users is not in these numbers.
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from benchmarks.common import machine, metric_lines, print_table, tail, training, wait_until
from input_pipeline.vocabulary import read_vocabulary
from storage import checksum
from storage.store import Store, open_store
from trainer.learning import train_state
from trainer.run import workdir
from trainer.run.checkpoints import Manifest, ranked

_EVERY_STEPS = 200
_LOG_STEPS = 25
_STEPS_PER_CALL = 5
_URL = "gs://bucket/run"
_STOPPED_FROM_OUTSIDE = 75


@contextlib.contextmanager
def bucket() -> Iterator[None]:
    """A server with a bucket, and the environment that leads the client to it."""
    command = [sys.executable, "-m", "tests.fakes.gcs_server", "--port=0", "--bucket=bucket"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        line = server.stdout.readline()
        os.environ["STORAGE_EMULATOR_HOST"] = line.partition("STORAGE_EMULATOR_HOST=")[2].strip()
        try:
            yield
        finally:
            server.terminate()


def train(config: str, log: Path) -> None:
    """The whole run."""
    overrides = (
        f"checkpoint.every_steps={_EVERY_STEPS}",
        f"train.log_every_steps={_LOG_STEPS}",
        # So that a line's time is that of its own steps: it is written when its call returns.
        f"train.steps_per_call={_STEPS_PER_CALL}",
    )
    with training(config, _URL, log, *overrides) as process:
        if process.wait():
            sys.exit(f"error: the trainer ended with code {process.returncode}:\n{tail(log)}")


def leave(config: str, log: Path) -> float:
    """Seconds from SIGTERM, in the middle of the training, to the end of the process."""
    with training(config, f"{_URL}-stopped", log, f"train.log_every_steps={_LOG_STEPS}") as process:
        store = open_store(f"{_URL}-stopped")
        wait_until(process, log, lambda: store.exists("metrics.jsonl"))
        wait_until(process, log, lambda: metric_lines(store.read("metrics.jsonl")), poll=0.2)
        begin = time.perf_counter()
        process.terminate()
        if process.wait() != _STOPPED_FROM_OUTSIDE:
            sys.exit(f"error: the trainer ended with code {process.returncode}:\n{tail(log)}")
    return time.perf_counter() - begin


def stalls(store: Store) -> list[tuple[str, str]]:
    """Rows on what saving cost, from the run's own metrics."""
    lines = metric_lines(store.read("metrics.jsonl"))
    last = [line for line in lines if line["kind"] == "epoch"][-1]
    epochs = {line["step"] for line in lines if line["kind"] == "epoch"}
    # Each epoch's end has a save; that of the last comes after its line.
    saves = {*range(_EVERY_STEPS, last["step"], _EVERY_STEPS), *epochs} - {last["step"]}
    share = last["time"]["checkpoint"] / last["time"]["training"]
    rates = {line["step"]: line["tokens_per_second"] for line in lines if line["kind"] == "train"}
    after = [rate for step, rate in rates.items() if step - _LOG_STEPS in saves]
    other = [rate for step, rate in rates.items() if step - _LOG_STEPS not in saves]
    return [
        ("saves", str(len(saves))),
        ("stall, of the training time", f"{share:.2%}"),
        (f"words/s in the {_LOG_STEPS} steps after a save", f"{statistics.mean(after):,.0f}"),
        ("words/s in all others", f"{statistics.mean(other):,.0f}"),
    ]


def resume(store: Store, state: train_state.TrainState, folder: Path) -> dict[str, float]:
    """Seconds of each part of a restoration."""
    times, begin = {}, time.perf_counter()

    def lap(name: str) -> None:
        nonlocal begin
        times[name] = time.perf_counter() - begin
        begin = time.perf_counter()

    open_store(_URL)
    lap("open the bucket")
    manifest: Manifest = ranked(store, "last")[0]
    lap("list and read the manifests")
    for file in manifest.files:
        store.download(file["name"], folder / Path(file["name"]).name)
    lap("download")
    for file in manifest.files:
        checksum.of_file(folder / Path(file["name"]).name)
    lap("verify")
    prefix = str(folder / Path(manifest.prefix).name)
    state.checkpoint().read(prefix).assert_consumed()
    lap("read into TensorFlow")
    return times


def main() -> None:
    """Runs and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--config", default="configs/imdb.py")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="longhaul-") as name, bucket():
        train(args.config, Path(name, "log"))
        store = open_store(_URL)
        rows = stalls(store)
        left = leave(args.config, Path(name, "log"))
        rows.append(("SIGTERM to the end of the process, with a save", f"{left:.1f} s"))
        config = workdir.stored_config(store)
        state = train_state.create(config, len(read_vocabulary(store)))
        resume(store, state, Path(name))  # the first one builds TensorFlow's graph of the reading
        rounds = [resume(store, state, Path(name)) for _ in range(args.rounds)]
        size = sum(file["size"] for file in ranked(store, "last")[0].files)
    print(
        f"{machine()}, TensorFlow {tf.__version__}; {args.config}, {size / 1e6:.1f} MB a checkpoint"
    )
    print_table([("saving", "measured"), *rows])
    print()
    parts = [(part, statistics.median(times[part] for times in rounds)) for part in rounds[0]]
    parts.append(("together", sum(seconds for _, seconds in parts)))
    print_table([("resuming", "seconds"), *((part, f"{s:.3f}") for part, s in parts)])


if __name__ == "__main__":
    main()
