"""Measures the time from the command to the first training step, without and with cached data.

    python -m benchmarks.start_up --rounds=3

Each round starts `python -m trainer` three times: a first run, without a cache of tokens; another
run, with the cache; and that run again, which now has its vocabulary too, but no checkpoint. A
start is stopped at its first line of metrics.jsonl, which follows the first step. All folders are
temporary. The operating system's file cache is not cleared, so that only a machine's very first
start reads TensorFlow from the disk.
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.common import (
    arguments,
    machine,
    metrics,
    print_table,
    run,
    training,
    wait_until,
    write_json,
)


class Start(NamedTuple):
    """The seconds that one start takes."""

    ready: float  # for imports, reviews, vocabulary and network
    first_step: float  # for compiling and the step, after that

    @property
    def total(self) -> float:
        """The seconds from the command to the end of the first step."""
        return self.ready + self.first_step


def measure(config: str, workdir: Path, cache: Path) -> Start:
    """Starts a run and stops it after its first step."""
    claims, log = workdir / "claims", workdir.with_suffix(".log")

    def count_claims() -> int:
        return len(list(claims.glob("*")))

    # The lines of an earlier start would look like this one's.
    (workdir / "metrics.jsonl").unlink(missing_ok=True)
    before, begin = count_claims(), time.monotonic()
    overrides = ("train.log_every_steps=1", f"data.cache_dir={cache}")
    with training(config, workdir, log, *overrides) as process:
        # A start claims its workdir once everything is read and built.
        ready = wait_until(process, log, lambda: count_claims() > before, poll=0.005)
        done = wait_until(process, log, lambda: bool(metrics(workdir)), poll=0.005)
        process.kill()  # SIGTERM would make it save, and the next start would resume
    return Start(ready - begin, done - ready)


def main() -> None:
    """Runs the rounds, prints the table and writes the results."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--config", default="configs/imdb_lstm.py")
    args = parser.parse_args()
    starts: dict[str, list[Start]] = {
        "nothing cached": [],
        "tokens cached": [],
        "tokens cached, with a vocabulary": [],
    }
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory(prefix="longhaul-") as name:
            cache, first, second = (Path(name, part) for part in ("cache", "first", "second"))
            for times, workdir in zip(starts.values(), (first, second, second), strict=True):
                times.append(measure(args.config, workdir, cache))
    print(f"{machine()}; {args.config}; seconds, median of {args.rounds}")
    rows: list[tuple[str, ...]] = [("", "until ready", "first step", "total", "range")]
    for name, times in starts.items():
        parts = [(start.ready, start.first_step, start.total) for start in times]
        totals = [start.total for start in times]
        medians = [f"{statistics.median(part):.1f}" for part in zip(*parts, strict=True)]
        rows.append((name, *medians, f"{min(totals):.1f}-{max(totals):.1f}"))
    print_table(rows)
    results = [
        {"start": name, "seconds": [t._asdict() for t in times]} for name, times in starts.items()
    ]
    write_json(args, "start_up", results)


if __name__ == "__main__":
    run(main)
