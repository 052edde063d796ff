"""Tools that several benchmarks use: a training process, its metrics, a table.

with training("configs/sample.py", workdir, log, "checkpoint.every_steps=20") as process:
    wait_until(process, log, lambda: metrics(workdir))
    check_end(process, log)
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
from typing import NoReturn

from storage.exit_codes import DONE

_ROOT = Path(__file__).parents[1]
_SECONDS_TO_STOP = 10


@contextlib.contextmanager
def training(
    config: str, workdir: Path | str, log: Path, *overrides: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs `python -m trainer` within the context and stops it at the end.

    `workdir` is a folder or a gs:// URL, `log` the file for the trainer's output, and `overrides`
    are fields of the config, such as 'train.epochs=2'.
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
    process: subprocess.Popen[bytes],
    log: Path,
    is_reached: Callable[[], object],
    poll: float = 0.02,
) -> float:
    """Waits until `is_reached` returns a true value, and returns that time by `time.monotonic`.

    It asks every `poll` seconds. Exits with an error when the process ends before.
    """
    while not is_reached():
        if process.poll() is not None and not is_reached():
            _exit_about_end(process, log)
        time.sleep(poll)
    return time.monotonic()


def check_end(process: subprocess.Popen[bytes], log: Path, expected: int = DONE) -> None:
    """Waits for the end of the trainer; exits with an error unless its code is `expected`."""
    if process.wait() != expected:
        _exit_about_end(process, log)


def _exit_about_end(process: subprocess.Popen[bytes], log: Path) -> NoReturn:
    sys.exit(f"error: the trainer ended with code {process.returncode}:\n{tail(log)}")


def tail(log: Path, lines: int = 20) -> str:
    """Returns the last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def metrics(workdir: Path) -> list[dict]:
    """Returns the lines of the metrics.jsonl in a folder; none while the file does not exist."""
    try:
        return metric_lines((workdir / "metrics.jsonl").read_bytes())
    except FileNotFoundError:
        return []


def metric_lines(data: bytes) -> list[dict]:
    """Returns the lines of a metrics.jsonl, without a last one that is incomplete."""
    return [json.loads(line) for line in data.rpartition(b"\n")[0].splitlines()]


def machine() -> str:
    """Returns the processor's name and its number of logical cores."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Prints rows, headings first. All columns but the first are aligned to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  ".join(cells).rstrip())
