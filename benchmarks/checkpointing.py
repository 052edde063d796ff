"""Measures what saving to a bucket costs a run, and how long resuming from the bucket takes.

    python -m benchmarks.checkpointing --config=configs/imdb_lstm.py

Runs the config with a checkpoint every 200 steps in a Cloud Storage server on this machine, a
separate process, and then restores the last checkpoint several times. The stall is the time that
training itself waits. The asynchronous upload takes processor time too, which shows in the tokens
per second right after a save. The network to a real bucket is not part of these numbers.
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

from benchmarks.common import (
    check_end,
    machine,
    metric_lines,
    print_table,
    run,
    training,
    wait_until,
)
from configs.schema.stored import stored_config
from input_pipeline.encoding import read_encoding
from storage import checksum
from storage.exit_codes import RUN_AGAIN
from storage.store import Store, open_store
from trainer.learning import train_state
from trainer.learning.objectives.registry import create_objective
from trainer.run.checkpoints import ranked

_EVERY_STEPS = 200
_LOG_STEPS = 25
_STEPS_PER_CALL = 5
_URL = "gs://bucket/run"


@contextlib.contextmanager
def bucket() -> Iterator[None]:
    """Runs a Cloud Storage server with the bucket `bucket`, which STORAGE_EMULATOR_HOST names."""
    command = [sys.executable, "-m", "tests.fakes.gcs_server", "--port=0", "--bucket=bucket"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        line = next(iter(server.stdout or ()), "")
        if not line:
            sys.exit("error: the Cloud Storage server did not start")
        os.environ["STORAGE_EMULATOR_HOST"] = line.partition("STORAGE_EMULATOR_HOST=")[2].strip()
        try:
            yield
        finally:
            server.terminate()


def train(config: str, log: Path) -> None:
    """Trains from the first step to the last."""
    overrides = (
        f"checkpoint.every_steps={_EVERY_STEPS}",
        f"train.log_every_steps={_LOG_STEPS}",
        # A line is written when its call returns; few steps per call make its time exact.
        f"train.steps_per_call={_STEPS_PER_CALL}",
    )
    with training(config, _URL, log, *overrides) as process:
        check_end(process, log)


def stop(config: str, log: Path) -> float:
    """Returns the seconds from a SIGTERM in the middle of the training to the process's end."""
    with training(config, f"{_URL}-stopped", log, f"train.log_every_steps={_LOG_STEPS}") as process:
        store = open_store(f"{_URL}-stopped")
        wait_until(process, log, lambda: store.exists("metrics.jsonl"))
        wait_until(process, log, lambda: metric_lines(store.read("metrics.jsonl")), poll=0.2)
        begin = time.perf_counter()
        process.terminate()
        check_end(process, log, expected=RUN_AGAIN)
    return time.perf_counter() - begin


def stalls(store: Store) -> list[tuple[str, str]]:
    """Returns table rows with the cost of saving, from the run's own metrics."""
    lines = metric_lines(store.read("metrics.jsonl"))
    last = [line for line in lines if line["kind"] == "epoch"][-1]
    epochs = {line["step"] for line in lines if line["kind"] == "epoch"}
    # Each epoch ends with a save; the last one comes after the last line.
    saves = {*range(_EVERY_STEPS, last["step"], _EVERY_STEPS), *epochs} - {last["step"]}
    fraction = last["time"]["checkpoint"] / last["time"]["training"]
    rates = {line["step"]: line["tokens_per_second"] for line in lines if line["kind"] == "train"}
    after = [rate for step, rate in rates.items() if step - _LOG_STEPS in saves]
    other = [rate for step, rate in rates.items() if step - _LOG_STEPS not in saves]
    return [
        ("saves", str(len(saves))),
        ("stall, of the training time", f"{fraction:.2%}"),
        (f"tokens/s in the {_LOG_STEPS} steps after a save", f"{statistics.mean(after):,.0f}"),
        ("tokens/s in all others", f"{statistics.mean(other):,.0f}"),
    ]


def resume(store: Store, state: train_state.TrainState, folder: Path) -> dict[str, float]:
    """Restores the last checkpoint; returns the seconds that each part of it takes."""
    times, begin = {}, time.perf_counter()

    def lap(name: str) -> None:
        nonlocal begin
        times[name] = time.perf_counter() - begin
        begin = time.perf_counter()

    open_store(_URL)
    lap("open the bucket")
    manifest = ranked(store, "last")[0]
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


def fresh_state(store: Store) -> train_state.TrainState:
    """Returns the state of a run as it was before the first step."""
    config, encoding = stored_config(store), read_encoding(store)
    if encoding is None:
        sys.exit(f"error: {store.url} holds no vocabulary")
    objective = create_objective(config, encoding.labels)
    return train_state.create(objective, config, len(encoding.vocabulary))


def main() -> None:
    """Runs everything and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--config", default="configs/imdb_lstm.py")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="longhaul-") as name, bucket():
        train(args.config, Path(name, "log"))
        store = open_store(_URL)
        rows = stalls(store)
        seconds = stop(args.config, Path(name, "log"))
        rows.append(("SIGTERM to the end of the process, with a save", f"{seconds:.1f} s"))
        state = fresh_state(store)
        resume(store, state, Path(name))  # the first one builds TensorFlow's graph for reading
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
    run(main)
