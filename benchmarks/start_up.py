"""Time from the command to the first training step, without and with what earlier starts left.

    python -m benchmarks.start_up --rounds=3

Each round starts `python -m trainer` three times: a first run, without a cache of tokens; another
run, with it; and that one again, which finds its vocabulary as well (but no checkpoint yet). A
start ends with the first line of metrics.jsonl, written after the first step, and is stopped then.
All folders are temporary. The operating system's cache of files is as it happens to be: the very
first start of a machine also reads TensorFlow from its disk.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.common import machine, metrics, print_table, training, wait_until


class Start(NamedTuple):
    """Seconds of one start."""

    ready: float  # imports, reviews, vocabulary and network
    first_step: float  # from then on: compiling and the step

    @property
    def total(self) -> float:
        """From the command to the end of the first step."""
        return self.ready + self.first_step


def measure(config: str, workdir: Path, cache: Path) -> Start:
    """Starts a run and stops it after its first step."""
    claims, log = workdir / "claims", workdir.with_suffix(".log")

    def claimed() -> int:
        return len(list(claims.glob("*")))

    # An earlier start's lines would be taken for this one's.
    (workdir / "metrics.jsonl").unlink(missing_ok=True)
    before, begin = claimed(), time.monotonic()
    overrides = ("train.log_every_steps=1", f"data.cache_dir={cache}")
    with training(config, workdir, log, *overrides) as process:
        # A run claims its workdir when everything is read and built.
        ready = wait_until(process, log, lambda: claimed() > before, poll=0.005)
        done = wait_until(process, log, lambda: bool(metrics(workdir)), poll=0.005)
        process.kill()  # asked to leave, it would save, and the next start would resume
    return Start(ready - begin, done - ready)


def main() -> None:
    """Runs the rounds and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--config", default="configs/imdb.py")
    args = parser.parse_args()
    starts = {"cold": [], "tokens cached": [], "tokens cached, vocabulary there": []}
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory(prefix="longhaul-") as name:
            cache, first, second = (Path(name, part) for part in ("cache", "first", "second"))
            for times, workdir in zip(starts.values(), (first, second, second), strict=True):
                times.append(measure(args.config, workdir, cache))
    print(f"{machine()}; {args.config}; seconds, median of {args.rounds}")
    rows = [("", "until ready", "first step", "total", "range")]
    for name, times in starts.items():
        parts = [(start.ready, start.first_step, start.total) for start in times]
        totals = [start.total for start in times]
        medians = [f"{statistics.median(part):.1f}" for part in zip(*parts, strict=True)]
        rows.append((name, *medians, f"{min(totals):.1f}-{max(totals):.1f}"))
    print_table(rows)


if __name__ == "__main__":
    main()
