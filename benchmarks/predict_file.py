"""Measures predictions in bulk: rate, peak memory, and the output after kills at random moments.

    python -m benchmarks.predict_file --workdir=runs/imdb-lstm

Writes the reviews of IMDB's test split (TFDS; set TFDS_DATA_DIR) to a CSV file and runs three
commands with the run in the workdir: the evaluation of these reviews, without a cache of tokens;
their prediction into another file; and the prediction again, killed --kills times and resumed.
Times are those of whole commands, start-up and reading included. Exits with an error unless both
outputs have the same bytes.
"""

import argparse
import csv
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.common import machine, print_table, run
from storage.exit_codes import DONE

_ROOT = Path(__file__).parents[1]
_KIB_PER_MB = 1e6 / 1024


class Cost(NamedTuple):
    """What a command took."""

    seconds: float
    memory: float  # largest resident set, in MB


def write_reviews(file: Path, reviews: int) -> None:
    """Writes the first reviews of the test split, with their numbers and labels."""
    import tensorflow_datasets as tfds

    split = tfds.load("imdb_reviews", split=f"test[:{reviews}]", shuffle_files=False)
    with file.open("w", newline="", encoding="utf-8") as content:
        writer = csv.writer(content)
        writer.writerow(["id", "text", "label"])
        for number, review in enumerate(tfds.as_numpy(split)):
            writer.writerow([number, review["text"].decode(), int(review["label"])])


def start(*flags: str) -> subprocess.Popen[bytes]:
    """Starts the trainer; what it prints is dropped."""
    command = [sys.executable, "-m", "trainer", *flags]
    return subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.DEVNULL)


def timed(*flags: str) -> Cost:
    """Runs the trainer; exits when it fails."""
    begin = time.monotonic()
    _, status, usage = os.wait4(start(*flags).pid, 0)
    if os.waitstatus_to_exitcode(status) != DONE:
        sys.exit(f"error: the trainer ended with code {os.waitstatus_to_exitcode(status)}")
    return Cost(time.monotonic() - begin, usage.ru_maxrss / _KIB_PER_MB)


def killed(moments: list[float], *flags: str) -> int:
    """Kills a command at these moments, in seconds after a start; returns the number of kills."""
    kills = 0
    for moment in moments:
        process = start(*flags)
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            process.kill()
            kills += 1
        if process.wait() == DONE:
            break
    return kills


def main() -> None:
    """Runs the commands and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workdir", required=True, help="a finished run")
    parser.add_argument("--reviews", type=int, default=25_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="decides the moments of the kills")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="longhaul-") as name:
        folder, workdir = Path(name), Path(args.workdir).absolute()
        source, once, often = (folder / part for part in ("test.csv", "once.csv", "often.csv"))
        # In another process: the system counts the memory of this one as that of its children.
        writer = multiprocessing.get_context("spawn").Process(
            target=write_reviews, args=(source, args.reviews)
        )
        writer.start()
        writer.join()
        if writer.exitcode != DONE:
            sys.exit("error: the reviews could not be read; set TFDS_DATA_DIR")
        flags = (f"--workdir={workdir}", "--config=configs/default.py", "--config.data.cache_dir=")
        evaluation = timed("--mode=evaluate", *flags, f"--config.data.source=files:{folder}")
        flags = ("--mode=predict", f"--workdir={workdir}", f"--input={source}")
        prediction = timed(*flags, f"--output={once}")
        generator = random.Random(args.seed)
        # In the first half of what the whole takes, so that one start doesn't finish the work.
        moments = [generator.uniform(0, prediction.seconds / 2) for _ in range(args.kills)]
        kills = killed(moments, *flags, f"--output={often}")
        if not often.exists():
            timed(*flags, f"--output={often}")
        if once.read_bytes() != often.read_bytes():
            sys.exit("error: the output differs after kills")
    print(f"{machine()}; {args.reviews:,} reviews of IMDB; {workdir}")
    rows = [("", "seconds", "reviews/s", "peak memory, MB")]
    for what, cost in (("evaluation", evaluation), ("prediction", prediction)):
        rate = args.reviews / cost.seconds
        rows.append((what, f"{cost.seconds:.1f}", f"{rate:,.0f}", f"{cost.memory:,.0f}"))
    print_table(rows)
    when = ", ".join(f"{moment:.1f}" for moment in moments[:kills])
    print(f"The same bytes after {kills} kills; seconds from the start of each process: {when}")


if __name__ == "__main__":
    run(main)
