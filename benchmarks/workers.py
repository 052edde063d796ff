"""Kills jobs of several workers on this machine, moves them between layouts, and times them.

    python -m benchmarks.workers --kills=10
    python -m benchmarks.workers --layouts
    python -m benchmarks.workers --rate

`--kills` runs two workers, kills one of them at a random moment, several times, and compares the
result with that of an undisturbed pair. `--layouts` trains in four slices on 1, 2 and 4 replicas
and on 2 workers, and once more in turn on each of them, and compares the results with that of one
replica. Weights and lines of metrics must be the same to the bit; the exit code is 1 when anything
differs. `--rate` compares the tokens per second of two replicas, in one process and in two, with
those of one replica; all have the threads that the trainer chooses, and share this machine's cores.
"""

import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common import (
    arguments,
    machine,
    metric_lines,
    metrics,
    print_table,
    run,
    write_json,
)
from benchmarks.compare import differences
from storage.exit_codes import DONE, RUN_AGAIN
from storage.store import open_store

_ROOT = Path(__file__).parents[1]
_CONFIG = "configs/sample.py"
_LOG_EACH_STEP = ("--config.train.log_every_steps=1", "--config.checkpoint.every_steps=10")
# The layouts of --layouts in turn: each name with the number of workers and the trainer's flags.
_LAYOUTS = {
    "1 replica": (1, ()),
    "2 replicas": (1, ("--config.strategy.virtual_devices=2",)),
    "2 workers": (2, ()),
    "4 replicas": (1, ("--config.strategy.virtual_devices=4",)),
}
_SLICES = "--config.train.slices=4"
# What --rate compares: each name with the number of workers and the trainer's flags.
_RATES = {
    "1 replica": (1, ()),
    "2 replicas in 1 process": (1, ("--config.strategy.virtual_devices=2",)),
    "the same, reduction 'ring'": (
        1,
        ("--config.strategy.virtual_devices=2", "--config.strategy.reduction=ring"),
    ),
    "2 workers": (2, ()),
    "the same workers, reduction 'ring'": (2, ("--config.strategy.reduction=ring",)),
}
_SHORT = ("--config.train.epochs=1", "--config.train.log_every_steps=20")


def launch(
    workdir: Path, workers: int, *flags: str, config: str = _CONFIG, restarts: int = 0
) -> subprocess.Popen[str]:
    """Starts a job on this machine; its output is on the pipe `stdout`."""
    command = [sys.executable, "-m", "deploy.submit", f"--workers={workers}"]
    command += [f"--config={config}", *flags, f"--workdir={workdir}", f"--max_restarts={restarts}"]
    return subprocess.Popen(
        command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(job: subprocess.Popen[str], expected: int = DONE) -> None:
    """Waits for the end of a job; exits with an error unless its code is `expected`."""
    output, _ = job.communicate()
    if job.returncode != expected:
        sys.exit(f"error: the job ended with code {job.returncode}:\n{output[-3000:]}")


def worker_pids(job: subprocess.Popen[str]) -> list[int]:
    """Returns the process ids of a job's workers."""
    tasks = Path(f"/proc/{job.pid}/task").glob("*/children")
    return sorted(int(pid) for task in tasks for pid in task.read_text().split())


def last_step(workdir: Path) -> int:
    """Returns the last step in the metrics; 0 while they have no line."""
    return max((line["step"] for line in metrics(workdir)), default=0)


def next_line(job: subprocess.Popen[str], text: str) -> str:
    """Reads a job's output up to a line with `text` and returns the line; "" at the end."""
    return next((line for line in job.stdout or () if text in line), "")


def wait_for_step(job: subprocess.Popen[str], workdir: Path, step: float) -> None:
    """Waits until a job that has just been started has trained to a step, or has ended."""
    next_line(job, "reviews to train on")
    while last_step(workdir) < step and job.poll() is None:
        time.sleep(0.01)


def kills(count: int, seed: int, folder: Path) -> list[str]:
    """Runs two workers, with and without kills; returns what differs, a line for each."""
    generator = random.Random(seed)
    alone, killed = folder / "alone", folder / "killed"
    finish(launch(alone, 2, *_LOG_EACH_STEP))
    total = last_step(alone)
    job = launch(killed, 2, *_LOG_EACH_STEP, restarts=count)
    slowest = 0.0
    for number in range(1, count + 1):
        target = int(total * 0.9 * (number - 1 + generator.random()) / count)
        wait_for_step(job, killed, target)
        victim = generator.randrange(2)
        os.kill(worker_pids(job)[victim], signal.SIGKILL)
        begin = time.monotonic()
        codes = next_line(job, "[launcher]") or "no restart"
        slowest = max(slowest, time.monotonic() - begin)
        print(f"kill {number}: worker {victim} at step {target}: {codes.strip()}", flush=True)
    finish(job)
    print(f"the other worker ended within {slowest:.1f} s")
    return differences(open_store(str(alone)), open_store(str(killed)))


def layouts(folder: Path) -> list[str]:
    """Trains on each layout, and one run in turn on all; returns what differs, a line for each."""
    found, flags = [], (*_LOG_EACH_STEP, _SLICES)
    alone, *others = (folder / name.replace(" ", "-") for name in _LAYOUTS)
    for (name, (workers, layout)), workdir in zip(_LAYOUTS.items(), (alone, *others), strict=True):
        finish(launch(workdir, workers, *flags, *layout))
        print(f"{name}: to step {last_step(workdir)}", flush=True)
    total, moved = last_step(alone), folder / "moved"
    for number, (name, (workers, layout)) in enumerate(_LAYOUTS.items(), 1):
        job = launch(moved, workers, *flags, *layout)
        if number < len(_LAYOUTS):
            wait_for_step(job, moved, total * number / len(_LAYOUTS))
            job.send_signal(signal.SIGTERM)
            finish(job, expected=RUN_AGAIN)
        else:
            finish(job)
        print(f"in turn, {name}: to step {last_step(moved)}", flush=True)
    for workdir in (*others, moved):
        print(f"{workdir.name}: ", end="")
        differing = differences(open_store(str(alone)), open_store(str(workdir)))
        found += [f"{workdir.name}: {difference}" for difference in differing]
    return found


def _train_lines(workdir: Path) -> list[dict]:
    lines = metric_lines((workdir / "metrics.jsonl").read_bytes())
    return [line for line in lines if line["kind"] == "train"]


def rate(folder: Path, config: str, split: str, rounds: int) -> list[dict[str, Any]]:
    """Prints the tokens per second of each layout of _RATES; returns those of each round."""
    found: dict[str, list[float]] = {name: [] for name in _RATES}
    for number in range(rounds):
        # Every layout has a turn in each round, since a machine's speed drifts.
        for layout, (name, (workers, flags)) in enumerate(_RATES.items()):
            workdir = folder / f"{number}-{layout}"
            flags = (*flags, *_SHORT, f"--config.data.train_split={split}")
            finish(launch(workdir, workers, *flags, config=config))
            # Not the first line, which has the step that is compiled.
            rates = [line["tokens_per_second"] for line in _train_lines(workdir)][1:]
            found[name].append(statistics.median(rates))
    print(f"{machine()}; {config}, {rounds} rounds")
    rows: list[tuple[str, ...]] = [("", "tokens/s", "range", "of one replica")]
    ones = next(iter(found.values()))
    for name, rates in found.items():
        ratio = statistics.median(r / one for r, one in zip(rates, ones, strict=True))
        spread = f"{min(rates):,.0f}-{max(rates):,.0f}"
        rows.append((name, f"{statistics.median(rates):,.0f}", spread, f"{ratio:.2f}"))
    print_table(rows)
    return [{"layout": name, "tokens_per_second": rates} for name, rates in found.items()]


def main() -> None:
    """Runs what the flags ask for."""
    parser = arguments(__doc__)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--layouts", action="store_true")
    parser.add_argument("--rate", action="store_true")
    parser.add_argument("--config", default="configs/imdb_lstm.py", help="for --rate")
    parser.add_argument("--split", default="train[:40%]", help="config.data.train_split of --rate")
    parser.add_argument("--rounds", type=int, default=3, help="of --rate")
    parser.add_argument("--seed", type=int, default=0, help="of --kills")
    args = parser.parse_args()
    found, results = [], []
    with tempfile.TemporaryDirectory(prefix="longhaul-") as name:
        folder = Path(name)
        if args.kills:
            found += kills(args.kills, args.seed, folder / "kills")
        if args.layouts:
            found += layouts(folder / "layouts")
        if args.rate:
            results = rate(folder / "rate", args.config, args.split, args.rounds)
    for difference in found:
        print(difference)
    if args.kills or args.layouts:
        print(f"{len(found)} differences" if found else "no difference")
    write_json(args, "workers", [*results, {"differences": found}])
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    run(main)
