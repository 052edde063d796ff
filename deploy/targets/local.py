"""A job of several workers on this machine: to try it before it is paid for, and to test it.

    code = run(["--config=configs/imdb.py", "--workdir=runs/imdb"], workers=2, max_restarts=3)

Each worker is a process with a TF_CONFIG of its own. When one is lost the others leave by
themselves, and all are started again, as a cloud's scheduler would.
"""

import dataclasses
import json
import os
import queue
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress

import ml_collections

from configs.schema import rules
from deploy import compatibility
from deploy.checks import between

NEEDS = ()
STOPPED_FROM_OUTSIDE = 75  # the exit code that says: run me again
_THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
_SECONDS_TO_LEAVE = 45.0  # of the others when a worker is gone; they take up to 30


@dataclasses.dataclass(frozen=True)
class Options:
    """The flags of this target."""

    workers: int = 1
    max_restarts: int = 3

    def __post_init__(self):
        between("workers", self.workers, 1, 64)
        between("max_restarts", self.max_restarts, 0, 10_000)


def check(config: ml_collections.ConfigDict, options: Options) -> None:
    """Raises UserError when so many workers can't run a config, which each of them would say."""
    compatibility.strategy(config, _strategies(options), f"--workers={options.workers}")
    if options.workers > 1:  # as many replicas at least
        rules.check_replicas(config, options.workers)


def _strategies(options: Options) -> tuple[str, ...]:
    if options.workers > 1:
        return ("auto", "multi_worker")
    return ("auto", "default", "one_device", "mirrored", "tpu")


def describe(arguments: Sequence[str], options: Options) -> str:
    """What `run` does, as a shell would take it."""
    command = shlex.join(["python", "-m", "trainer", *arguments])
    names = ("TF_CONFIG", *_THREADS)
    lines = [
        " ".join([*(f"{n}={shlex.quote(e[n])}" for n in names if n in e), command])
        for e in environments(options.workers)
    ]
    again = f"# all of them again when one is lost, {options.max_restarts} times at most"
    return "\n".join([*lines, again])


def run(arguments: Sequence[str], workers: int, max_restarts: int) -> int:
    """Runs `python -m trainer` with these arguments to its end; the job's exit code.

    0 when all workers are done; 1 when one fails for good; 75 when this process was asked to leave,
    or a worker was lost more than `max_restarts` times.
    """
    with _Forwarded() as requests:
        for start in range(max_restarts + 1):
            codes = _attempt(arguments, workers, requests)
            if any(code != STOPPED_FROM_OUTSIDE and code > 0 for code in codes):
                return 1
            if not any(codes):
                return 0
            if requests.count:
                return STOPPED_FROM_OUTSIDE
            _say("launcher", f"workers left with {codes}, start {start + 1} of {max_restarts + 1}")
    return STOPPED_FROM_OUTSIDE


class _Forwarded:
    """Passes SIGINT and SIGTERM on to the workers: the second time as SIGKILL."""

    def __init__(self):
        self.count = 0
        self.processes: list[subprocess.Popen] = []
        self._before = {}

    def __enter__(self) -> "_Forwarded":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._forward)
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _forward(self, number: int, frame) -> None:
        self.count += 1
        for process in self.processes:
            process.send_signal(signal.SIGTERM if self.count == 1 else signal.SIGKILL)


def _attempt(arguments: Sequence[str], workers: int, requests: _Forwarded) -> list[int]:
    """One start of all workers; their exit codes when all have left."""
    left: queue.Queue[int] = queue.Queue()
    with ExitStack() as stack:
        processes = requests.processes = []
        for environment in environments(workers):
            processes.append(stack.enter_context(_start(arguments, environment)))
        if requests.count:  # one that came before the processes were there
            _signal_all(processes, signal.SIGTERM)
        for rank, process in enumerate(processes):
            threading.Thread(target=_relay, args=(rank, process, left), daemon=True).start()
        deadline = None
        for _ in processes:
            rank = _next(left, deadline, processes)
            code = processes[rank].wait()
            if code and deadline is None:
                deadline = time.monotonic() + _SECONDS_TO_LEAVE
            if code > 0 and code != STOPPED_FROM_OUTSIDE:
                _signal_all(processes, signal.SIGTERM)
        requests.processes = []
    return [process.returncode for process in processes]


def _start(arguments: Sequence[str], environment: dict[str, str]) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "trainer", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # A Ctrl-C is for the launcher, which passes it on; a terminal would send it to all.
        start_new_session=True,
    )


def environments(workers: int) -> list[dict[str, str]]:
    """For each worker this process's environment, with where the others are.

    Each has its share of the cores, unless the environment says how many threads TensorFlow takes.
    """
    if workers == 1:
        return [{name: value for name, value in os.environ.items() if name != "TF_CONFIG"}]
    threads = str(max(1, os.cpu_count() // workers))
    shared = dict.fromkeys(_THREADS, threads)
    cluster = {"worker": [f"127.0.0.1:{port}" for port in _free_ports(workers)]}
    tasks = ({"type": "worker", "index": index} for index in range(workers))
    return [
        {**shared, **os.environ, "TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}
        for task in tasks
    ]


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _relay(rank: int, process: subprocess.Popen, left: queue.Queue[int]) -> None:
    """Passes a worker's lines on, and reports its end."""
    for line in process.stdout:
        with suppress(BrokenPipeError):  # whoever read it has enough; the job goes on
            _say(f"worker {rank}", line.decode(errors="replace").rstrip("\n"))
    process.wait()
    left.put(rank)


def _next(left: queue.Queue[int], deadline: float | None, processes: list[subprocess.Popen]) -> int:
    """The rank of the next worker that has left; kills all when the deadline comes first."""
    try:
        return left.get(timeout=None if deadline is None else max(0, deadline - time.monotonic()))
    except queue.Empty:
        _signal_all(processes, signal.SIGKILL)
        return left.get()


def _signal_all(processes: list[subprocess.Popen], number: signal.Signals) -> None:
    for process in processes:
        process.send_signal(number)  # one that has left is passed over


def _say(who: str, line: str) -> None:
    sys.stdout.write(f"[{who}] {line}\n")
    sys.stdout.flush()
