"""Runs a job as processes on this machine: to try it before it is paid for, and for tests.

    plan = TARGET.prepare(submission, [Options(workers=2)])
    exit_code = plan.submit(None)

Each worker is a process with its own TF_CONFIG. When a worker is lost, the others stop by
themselves, and all of them are started again, as a cloud's scheduler would do it.
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
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Annotated, Any, NamedTuple

import ml_collections

from configs.schema import rules
from deploy.checks import check_between
from deploy.compatibility import check_strategy
from deploy.job import PREPARE, Submission
from deploy.targets.target import Following, Listed, Target, Waiting
from storage import standard_streams
from storage.errors import UserError
from storage.exit_codes import DONE, FAILED, RUN_AGAIN
from storage.url_list import quoted

_SECONDS_TO_STOP = 45.0  # for the others when a worker is lost; they take up to 30


@dataclasses.dataclass(frozen=True)
class Options:
    """The flags of --target=local. Raises UserError for a number out of range."""

    workers: Annotated[int, "Processes on this machine."] = 1
    max_restarts: Annotated[int, "How often all workers are started again when one is lost."] = 3

    def __post_init__(self) -> None:
        check_between("workers", self.workers, 1, 64)
        check_between("max_restarts", self.max_restarts, 0, 10_000)


class LocalTarget:
    """This machine. Its jobs end with the command that started them, so they can't be followed."""

    located_by = ()

    def can_wait(self, options: Options) -> bool:
        """Returns False: the command itself lasts until the processes end."""
        return False

    def prepare(self, submission: Submission, options: Sequence[Options]) -> "LocalPlan":
        """Plans the processes. Raises UserError for what each of them would refuse."""
        (own,) = options
        if submission.name:
            raise UserError(f"--name: got {submission.name!a}, but local processes have no name")
        if submission.mode != PREPARE:
            _check_config(submission.config, own)
        mode = f"--mode={submission.mode}"
        arguments = (*submission.arguments, mode, f"--workdir={quoted(submission.workdir)}")
        return LocalPlan(arguments, own, together=submission.mode != PREPARE)

    def follow(self, following: Following, options: Options) -> int:
        """Raises UserError: a local job has no name to follow it by."""
        raise UserError(
            f"{following.verb}: got --target=local, whose jobs end with the command that started "
            "them; give the --target that the job was submitted to"
        )

    def jobs(self, options: Options, known: Mapping[str, str]) -> list[Listed]:
        """Returns no job: none outlives the command that started it."""
        return []


class LocalPlan(NamedTuple):
    """The arguments that each worker is started with, and how many workers there are."""

    arguments: tuple[str, ...]  # of `python -m trainer`
    options: Options
    together: bool  # whether the others stop when a worker is lost

    def describe(self) -> str:
        """Returns the workers' commands as a shell would take them."""
        command = shlex.join(["python", "-m", "trainer", *self.arguments])
        lines = [
            f"TF_CONFIG={shlex.quote(e['TF_CONFIG'])} {command}" if "TF_CONFIG" in e else command
            for e in environments(self.options.workers)
        ]
        restarts = f"# all started again when one is lost, up to {self.options.max_restarts} times"
        return "\n".join([*lines, restarts, ""])

    def submit(self, waiting: Waiting | None) -> int:
        """Runs the workers until all are done. Returns an exit code, as `run` does."""
        standard_streams.make_output_optional()  # the job goes on without its output
        return run(self.arguments, self.options.workers, self.options.max_restarts, self.together)


TARGET: Target = LocalTarget()


def _check_config(config: ml_collections.ConfigDict, options: Options) -> None:
    """Raises UserError when so many workers can't run the config."""
    workers = options.workers
    several = ("auto", "multi_worker")
    one = ("auto", "default", "one_device", "mirrored", "tpu")
    check_strategy(config, several if workers > 1 else one, f"--workers={workers}")
    if workers > 1:  # each has at least one replica
        rules.check_replicas(config, workers)


def run(arguments: Sequence[str], workers: int, max_restarts: int, together: bool = True) -> int:
    """Runs `python -m trainer` with these arguments to its end, in `workers` processes.

    Returns DONE when all workers are done; FAILED when one failed for good, whose last line is then
    the last one; RUN_AGAIN when this process was asked to stop, or when workers were lost more than
    `max_restarts` times. Workers that are not `together` go on when another one is lost.
    """
    with _ForwardedSignals() as signals:
        for start in range(max_restarts + 1):
            last_lines: dict[int, str] = {}
            codes = _run_once(arguments, workers, signals, last_lines, together)
            for rank, code in enumerate(codes):
                if _is_failure(code):
                    line = last_lines.get(rank, f"exit code {code}").removeprefix("error: ")
                    print(f"error: worker {rank}: {line}", file=sys.stderr)
                    return FAILED
            if not any(codes):
                return DONE
            if signals.count:
                return RUN_AGAIN
            _say("launcher", f"workers left with {codes}, start {start + 1} of {max_restarts + 1}")
    return RUN_AGAIN


def _is_failure(code: int) -> bool:
    """Returns True for an exit code that no restart would change; a signal's is negative."""
    return code > 0 and code != RUN_AGAIN


class _ForwardedSignals:
    """Sends SIGINT and SIGTERM on to the workers: the first one as SIGTERM, others as SIGKILL."""

    def __init__(self) -> None:
        self.count = 0
        self.processes: list[subprocess.Popen] = []
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "_ForwardedSignals":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._forward)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _forward(self, number: int, frame: object) -> None:
        self.count += 1
        _signal_all(self.processes, signal.SIGTERM if self.count == 1 else signal.SIGKILL)


def _run_once(
    arguments: Sequence[str],
    workers: int,
    signals: _ForwardedSignals,
    last_lines: dict[int, str],
    together: bool,
) -> list[int]:
    """Starts all workers and returns their exit codes when all have ended.

    Keeps the last line of each worker in `last_lines`, by rank.
    """
    ended: queue.Queue[int] = queue.Queue()
    with ExitStack() as stack:
        processes = signals.processes = []
        for environment in environments(workers):
            processes.append(stack.enter_context(_start(arguments, environment)))
        if signals.count:  # a signal that came before the processes were started
            _signal_all(processes, signal.SIGTERM)
        for rank, process in enumerate(processes):
            relayed = (rank, process, ended, last_lines)
            threading.Thread(target=_relay, args=relayed, daemon=True).start()
        deadline = None
        for _ in processes:
            rank = _next(ended, deadline, processes)
            code = processes[rank].wait()
            if code and together and deadline is None:
                deadline = time.monotonic() + _SECONDS_TO_STOP
            if _is_failure(code):
                _signal_all(processes, signal.SIGTERM)
        signals.processes = []
    return [process.returncode for process in processes]


def _start(arguments: Sequence[str], environment: dict[str, str]) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "trainer", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # A terminal sends Ctrl-C to all processes of a session; here the launcher forwards it.
        start_new_session=True,
    )


def environments(workers: int) -> list[dict[str, str]]:
    """Returns the environment of each worker: this process's, with the addresses of the workers."""
    if workers == 1:
        return [{name: value for name, value in os.environ.items() if name != "TF_CONFIG"}]
    cluster = {"worker": [f"127.0.0.1:{port}" for port in _free_ports(workers)]}
    tasks = ({"type": "worker", "index": index} for index in range(workers))
    return [
        {**os.environ, "TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}
        for task in tasks
    ]


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _relay(
    rank: int, process: subprocess.Popen, ended: queue.Queue[int], last_lines: dict[int, str]
) -> None:
    """Prints a worker's lines and keeps the last one; reports its rank when it has ended."""
    try:
        for data in process.stdout or ():
            line = data.decode(errors="replace").rstrip("\n")
            _say(f"worker {rank}", line)
            if line.strip():
                last_lines[rank] = line
    finally:  # the launcher waits for the report
        process.wait()
        ended.put(rank)


def _next(
    ended: queue.Queue[int], deadline: float | None, processes: list[subprocess.Popen]
) -> int:
    """Waits for the next worker to end and returns its rank; kills all at the deadline."""
    try:
        return ended.get(timeout=None if deadline is None else max(0, deadline - time.monotonic()))
    except queue.Empty:
        _signal_all(processes, signal.SIGKILL)
        return ended.get()


def _signal_all(processes: list[subprocess.Popen], number: signal.Signals) -> None:
    for process in processes:
        process.send_signal(number)  # no-op for a process that has ended


def _say(speaker: str, line: str) -> None:
    sys.stdout.write(f"[{speaker}] {line}\n")
    sys.stdout.flush()
