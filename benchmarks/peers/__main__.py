"""Compares the training speed of longhaul, Keras's `fit` and PyTorch on the CPU.

    python -m benchmarks.peers --rounds=3
    python -m benchmarks.peers --until=0.895 --seeds=0,1,2 --contestants=longhaul,keras,torch

All train the network of configs/imdb_lstm.py on the same training reviews, with the same optimizer,
schedule, clipping, dropout (one mask for all tokens of a review) and distributions of the initial
weights. They differ in how the reviews of a batch are chosen, in the loop, and in the kernels:

- longhaul trains as its trainer does, with the threads that it chooses, on reviews of about one
  length;
- Keras and PyTorch train as they are usually written, on random reviews, padded to the longest of a
  batch (`padded_batch`), with TensorFlow's or PyTorch's own choice of threads. Keras's layers have
  a mask or none; without one the network reads the padding too. PyTorch's are also given packed
  sequences, which leave the padding out, and longhaul's batches.

The numbers of threads hold for a process. So each contestant has a process of its own, and only one
of them works at a time: each has a turn in each round, on other reviews, so that other work on the
machine affects all alike. Run it on an idle machine all the same: PyTorch's threads wait for each
other, so that other work slows PyTorch down most.

The speed counts tokens, without padding. Tracing happens before the measurement; the start of the
input pipeline is part of it.

With `--until` each contestant trains from the start until its accuracy on the validation reviews
reaches a value. It is evaluated at fixed points; seconds are those of training alone, with tracing.

PyTorch is optional: `pip install torch` into the same environment.
"""

import argparse
import contextlib
import importlib.util
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.common import arguments, facts, own_process, print_table, run, write_json
from benchmarks.peers.contestants import CONTESTANTS, Point, Turn

_MODULE = "benchmarks.peers.contestants"
Trainings = dict[str, dict[int, list[Point]]]  # contestant's name -> seed -> evaluations


def measure_speed(names: Sequence[str], path: Path, steps: int, rounds: int) -> dict:
    """Returns the turns of each contestant by its name, one for each round."""
    turns: dict[str, list[Turn]] = {name: [] for name in names}
    with contextlib.ExitStack() as stack:
        calls = {name: stack.enter_context(own_process(_MODULE)) for name in names}
        for turn in range(rounds):
            for name, call in calls.items():
                turns[name].append(call("take_turn", name, path, steps, turn))
    return turns


def print_speed(turns: dict[str, list[Turn]]) -> None:
    """Prints the table; ratios are medians of those of each round."""
    rows: list[tuple[str, ...]] = [("", "tokens/s", "range", "longhaul", "padding")]
    first = turns.get("longhaul")
    for name, of_name in turns.items():
        rates = [turn.tokens_per_second for turn in of_name]
        ratios = [
            ours.tokens_per_second / theirs.tokens_per_second
            for ours, theirs in zip(first or of_name, of_name, strict=True)
        ]
        rows.append(
            (
                CONTESTANTS[name].title,
                f"{statistics.median(rates):,.0f}",
                f"{min(rates):,.0f}-{max(rates):,.0f}",
                f"{statistics.median(ratios):.2f} times" if first else "",
                f"{statistics.mean(turn.padding for turn in of_name):.1%}",
            )
        )
    print_table(rows)


def measure_trainings(names: Sequence[str], path: Path, args: argparse.Namespace) -> Trainings:
    """Returns the evaluations of each contestant's trainings, of which it prints the last."""
    trainings: Trainings = {name: {} for name in names}
    for seed in map(int, args.seeds.split(",")):
        for name in names:
            plan = (name, path, args.until, seed, args.epochs, args.evaluations)
            with own_process(_MODULE) as call:
                points = call("train_until", *plan)
            trainings[name][seed] = points
            epochs, seconds, accuracy = points[-1]
            print(
                f"{CONTESTANTS[name].title}, seed {seed}: {accuracy:.4f} after {epochs:g} epochs, "
                f"{seconds:.1f} s",
                flush=True,
            )
    return trainings


def print_trainings(trainings: Trainings, until: float) -> None:
    """Prints the table: medians over the seeds whose training reached the accuracy."""
    reached = {
        name: [points[-1] for points in seeds.values() if points[-1].accuracy >= until]
        for name, seeds in trainings.items()
    }
    medians = {
        name: statistics.median(point.seconds for point in points)
        for name, points in reached.items()
        if points
    }
    rows: list[tuple[str, ...]] = [("", "reached", "seconds", "range", "longhaul", "epochs")]
    for name, points in reached.items():
        row = (CONTESTANTS[name].title, f"{len(points)} of {len(trainings[name])}")
        if not points:
            rows.append((*row, "", "", "", ""))
            continue
        seconds = [point.seconds for point in points]
        ratio = medians[name] / medians["longhaul"] if "longhaul" in medians else None
        rows.append(
            (
                *row,
                f"{medians[name]:.1f}",
                f"{min(seconds):.1f}-{max(seconds):.1f}",
                f"{ratio:.2f} times" if ratio else "",
                f"{statistics.median(point.epochs for point in points):g}",
            )
        )
    print_table(rows)


def parsed() -> tuple[argparse.Namespace, list[str]]:
    """Returns the flags, and the names of the contestants that can train here."""
    parser = arguments(__doc__)
    parser.add_argument("--contestants", help=f"some of {','.join(CONTESTANTS)}; default all")
    parser.add_argument("--data_source", default="tfds:imdb_reviews", help="as config.data.source")
    parser.add_argument("--steps", type=int, default=100, help="of each contestant in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--until", type=float, help="train to this accuracy on validation reviews")
    parser.add_argument("--seeds", default="0,1,2", help="of --until")
    parser.add_argument("--epochs", type=int, default=0, help="at most; default the config's")
    parser.add_argument("--evaluations", type=int, default=2, help="in each epoch, of --until")
    args = parser.parse_args()
    names = args.contestants.split(",") if args.contestants else list(CONTESTANTS)
    if unknown := [name for name in names if name not in CONTESTANTS]:
        parser.error(f"--contestants: got {unknown[0]!r}, accepted are {', '.join(CONTESTANTS)}")
    if not importlib.util.find_spec("torch"):
        print("PyTorch is not installed; its rows are left out")
        names = [name for name in names if not name.startswith("torch")]
    return args, names


def main() -> None:
    """Lets the contestants train, prints the table and writes the results."""
    args, names = parsed()
    about = facts()
    print(f"{about['machine']['machine']}; {about['versions']}")
    results: list[dict[str, Any]]
    with tempfile.TemporaryDirectory(prefix="longhaul-") as folder:
        path = Path(folder, "reviews.npz")
        with own_process("benchmarks.peers.reading") as call:
            call("store_reviews", args.data_source, path)
        if args.until:
            trainings = measure_trainings(names, path, args)
            print_trainings(trainings, args.until)
            results = [
                {"contestant": name, "seed": seed, "points": [point._asdict() for point in points]}
                for name, seeds in trainings.items()
                for seed, points in seeds.items()
            ]
        else:
            turns = measure_speed(names, path, args.steps, args.rounds)
            print(f"{args.rounds} rounds of {args.steps} batches of {args.data_source}")
            print_speed(turns)
            results = [
                {"contestant": name, "turns": [turn._asdict() for turn in of_name]}
                for name, of_name in turns.items()
            ]
    write_json(args, "peers", results)


if __name__ == "__main__":
    run(main)
