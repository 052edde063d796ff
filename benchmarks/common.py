"""What several benchmarks need: a training process to watch, its metrics, a table.

with training("configs/sample.py", workdir, log, "checkpoint.every_steps=20") as process:
    wait_until(process, log, lambda: metrics(workdir))
"""

import contextlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_SECONDS_TO_STOP = 10


@contextlib.contextmanager
def training(
    config: str, workdir: Path | str, log: Path, *overrides: str
) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m trainer` at work, its output going to `log`; no longer at work at the end.

    `workdir` is a folder or a gs:// URL, `overrides` are such as 'train.epochs=2'.
    """
    command = [sys.executable, "-m", "trainer", f"--config={config}", f"--workdir={workdir}"]
    command += [f"--config.{override}" for override in overrides]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=_ROOT, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until(
    process: subprocess.Popen[bytes], log: Path, condition: Callable[[], bool], poll: float = 0.02
) -> float:
    """When `condition` came to hold, by `time.monotonic`; leaves when the process ends before."""
    while not condition():
        if process.poll() is not None and not condition():
            sys.exit(f"error: the trainer ended with code {process.returncode}:\n{tail(log)}")
        time.sleep(poll)
    return time.monotonic()


def tail(log: Path, lines: int = 20) -> str:
    """The end of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def metrics(workdir: Path) -> list[dict]:
    """The lines of the metrics.jsonl in a folder so far, none before it is there."""
    try:
        return metric_lines((workdir / "metrics.jsonl").read_bytes())
    except FileNotFoundError:
        return []


def metric_lines(data: bytes) -> list[dict]:
    """The lines of a metrics.jsonl, but for one that is being written."""
    return [json.loads(line) for line in data.rpartition(b"\n")[0].splitlines()]


def machine() -> str:
    """The processor and its logical cores, in words."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Prints rows, the heads of the columns first; all columns but the first flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  ".join(cells).rstrip())
