"""Tools that several benchmarks use: processes, metrics, a table, a JSON file.

with training("configs/sample.py", workdir, log, "checkpoint.every_steps=20") as process:
    wait_until(process, log, lambda: metrics(workdir))
    check_end(process, log)

with own_process("benchmarks.step.layers") as call:
    seconds = call("time_product", 2048, 5)     # a function of that module

args = arguments(__doc__).parse_args()
print_table([("", "seconds"), ("a start", "4.6")])
write_json(args, "start_up", [{"name": "a start", "seconds": 4.6}])
"""

import argparse
import contextlib
import importlib
import importlib.metadata
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from storage.cores import usable_cores
from storage.errors import UserError
from storage.exit_codes import DONE
from trainer.machines.startup_messages import quiet_start

_ROOT = Path(__file__).parents[1]
_SECONDS_TO_STOP = 10
_LIBRARIES = ("tensorflow", "keras", "numpy", "torch")


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


@contextlib.contextmanager
def own_process(module: str) -> Iterator[Callable[..., Any]]:
    """Runs functions of a module in a new process, which keeps its state within the context.

    Yields a function that takes a function's name and its arguments. The process starts without
    anything of this one, so that it can set TensorFlow's numbers of threads. It uses no GPU.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, initializer=_start_on_cpu) as pool:
        yield lambda name, *values: pool.submit(_call, module, name, *values).result()


def _start_on_cpu() -> None:
    # Errors come as exceptions, so that TensorFlow need not print them as well.
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}


def _call(module: str, name: str, *values: Any) -> Any:
    return getattr(import_quietly(module), name)(*values)


def import_quietly(module: str) -> ModuleType:
    """Imports a module without the harmless messages that TensorFlow prints at its start."""
    if module in sys.modules:
        return sys.modules[module]
    with quiet_start():
        return importlib.import_module(module)


def run(main: Callable[[], None]) -> None:
    """Runs a benchmark; a UserError ends it with one line and exit code 1."""
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")


def arguments(doc: str | None) -> argparse.ArgumentParser:
    """Returns a parser with the first line of a module's docstring and the flag --json."""
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--json", metavar="FILE", help="where to write the results, with versions")
    return parser


def write_json(args: argparse.Namespace, name: str, results: Sequence[Mapping[str, Any]]) -> None:
    """Writes results, flags, machine and versions of a benchmark to `args.json`, if that is set."""
    if not args.json:
        return
    flags = {flag: value for flag, value in vars(args).items() if flag != "json"}
    whole = {"benchmark": name, "flags": flags, **facts(), "results": results}
    # A flag may be a path.
    Path(args.json).write_text(json.dumps(whole, indent=1, default=str) + "\n")


def facts() -> dict[str, dict[str, Any]]:
    """Returns the machine, and the versions of Python and of the libraries that are installed."""
    versions = {"python": platform.python_version()}
    for library in _LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[library] = importlib.metadata.version(library)
    about = {"machine": machine(), "system": platform.platform()}
    return {"machine": about, "versions": versions}


def machine() -> str:
    """Returns the processor's name and the number of cores that this process may use."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {usable_cores()} cores"


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Prints rows, headings first. All columns but the first are aligned to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  ".join(cells).rstrip())
