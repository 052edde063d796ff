"""Jobs of several workers on this machine: killed, moved between layouts, and timed.

    python -m benchmarks.workers --kills=10
    python -m benchmarks.workers --layouts
    python -m benchmarks.workers --rate

`--kills` runs two workers, kills one of them at a random moment again and again, and compares the
end with a pair nobody has touched: the same bits. `--layouts` resumes one run in turn on 1, 2 and 4
replicas and on 2 workers, and compares the loss of each step with that of a single process.
`--rate` compares the words per second of two workers of one thread each with a process of two. Exit
code 1 when anything differs.
"""

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import machine, metric_lines, metrics, print_table
from benchmarks.compare import differences
from storage.store import open_store

_ROOT = Path(__file__).parents[1]
_CONFIG = "configs/sample.py"
_LOG_EACH_STEP = ("--config.train.log_every_steps=1", "--config.checkpoint.every_steps=10")
# Replicas of a step, in turn: name -> flags of the trainer, or workers.
_LAYOUTS = {
    "1 replica": (1, ()),
    "2 replicas": (1, ("--config.strategy.virtual_devices=2",)),
    "2 workers": (2, ()),
    "4 replicas": (1, ("--config.strategy.virtual_devices=4",)),
}
_CLOSE = 1e-4  # relative difference of losses that rounding may make


def launch(
    workdir: Path, workers: int, *flags: str, config: str = _CONFIG, restarts: int = 0
) -> subprocess.Popen[str]:
    """A job on this machine; its output can be read."""
    command = [sys.executable, "-m", "deploy.submit", f"--workers={workers}"]
    command += [f"--config={config}", *flags, f"--workdir={workdir}", f"--max_restarts={restarts}"]
    return subprocess.Popen(
        command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(job: subprocess.Popen[str], expected: int = 0) -> None:
    """Waits for the end; leaves when it is another than expected."""
    output, _ = job.communicate()
    if job.returncode != expected:
        sys.exit(f"error: the job ended with code {job.returncode}:\n{output[-3000:]}")


def workers_of(job: subprocess.Popen[str]) -> list[int]:
    """Process ids of a job's workers."""
    tasks = Path(f"/proc/{job.pid}/task").glob("*/children")
    return sorted(int(pid) for task in tasks for pid in task.read_text().split())


def last_step(workdir: Path) -> int:
    """The last step that the metrics show."""
    return max((line["step"] for line in metrics(workdir)), default=0)


def kills(count: int, seed: int, folder: Path) -> list[str]:
    """Two runs of two workers, one of them with kills; what differs."""
    generator = random.Random(seed)
    alone, killed = folder / "alone", folder / "killed"
    finish(launch(alone, 2, *_LOG_EACH_STEP))
    total = last_step(alone)
    job = launch(killed, 2, *_LOG_EACH_STEP, restarts=count)
    slowest = 0.0
    for number in range(1, count + 1):
        target = int(total * 0.9 * (number - 1 + generator.random()) / count)
        for line in job.stdout:
            if "reviews to train on" in line:
                break
        while last_step(killed) < target and job.poll() is None:
            time.sleep(0.01)
        victim = generator.randrange(2)
        os.kill(workers_of(job)[victim], signal.SIGKILL)
        begin = time.monotonic()
        codes = next((line for line in job.stdout if line.startswith("[launcher]")), "no restart")
        slowest = max(slowest, time.monotonic() - begin)
        print(f"kill {number}: worker {victim} at step {target}: {codes.strip()}", flush=True)
    finish(job)
    print(f"the others left within {slowest:.1f} s")
    return differences(open_store(str(alone)), open_store(str(killed)))


def layouts(folder: Path) -> list[str]:
    """One run on each layout in turn, against a single process; steps whose loss differs."""
    alone, moved = folder / "alone", folder / "moved"
    finish(launch(alone, 1, *_LOG_EACH_STEP))
    total = last_step(alone)
    for number, (name, (workers, flags)) in enumerate(_LAYOUTS.items(), 1):
        job = launch(moved, workers, *_LOG_EACH_STEP, *flags)
        if number < len(_LAYOUTS):
            for line in job.stdout:
                if "reviews to train on" in line:
                    break
            while last_step(moved) < total * number / len(_LAYOUTS) and job.poll() is None:
                time.sleep(0.01)
            job.send_signal(signal.SIGTERM)
            finish(job, expected=75)
        else:
            finish(job)
        print(f"{name}: to step {last_step(moved)}", flush=True)
    theirs = {line["step"]: line["loss"] for line in _train_lines(alone)}
    ours = {line["step"]: line["loss"] for line in _train_lines(moved)}
    worst = max(abs(ours[step] / theirs[step] - 1) for step in theirs)
    print(f"{len(ours)} steps; largest relative difference of a loss {worst:.1e}")
    return [
        f"step {step}: loss {ours.get(step)}, of a single process {loss}"
        for step, loss in theirs.items()
        if step not in ours or abs(ours[step] / loss - 1) > _CLOSE
    ]


def _train_lines(workdir: Path) -> list[dict]:
    lines = metric_lines((workdir / "metrics.jsonl").read_bytes())
    return [line for line in lines if line["kind"] == "train"]


def rate(folder: Path, config: str) -> None:
    """Prints words per second of two workers of one thread each and of one process of two."""
    rows = [("", "words/s")]
    means = []
    for name, workers, threads in (("1 process, 2 threads", 1, 2), ("2 workers, 1 thread", 2, 1)):
        os.environ["TF_NUM_INTRAOP_THREADS"] = str(threads)
        workdir = folder / f"{workers}"
        flags = ("--config.train.epochs=1", "--config.train.log_every_steps=20")
        job = launch(workdir, workers, *flags, config=config)
        finish(job)
        rates = [line["tokens_per_second"] for line in _train_lines(workdir)][1:]
        means.append(statistics.median(rates))
        rows.append((name, f"{means[-1]:,.0f}"))
    print(f"{machine()}; {config}, median of 20 steps each")
    print_table(rows)
    print(f"ratio {means[1] / means[0]:.2f}")


def main() -> None:
    """Runs what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--layouts", action="store_true")
    parser.add_argument("--rate", action="store_true")
    parser.add_argument("--config", default="configs/imdb.py", help="for --rate")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory(prefix="longhaul-") as name:
        folder = Path(name)
        if args.kills:
            found += kills(args.kills, args.seed, folder / "kills")
        if args.layouts:
            found += layouts(folder / "layouts")
        if args.rate:
            rate(folder / "rate", args.config)
    for difference in found:
        print(difference)
    if args.kills or args.layouts:
        print(f"{len(found)} differences" if found else "no difference")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
