"""Kills one run again and again, and compares the result with that of an undisturbed run.

    python -m benchmarks.soak --kills=100 --store=gs
    python -m benchmarks.soak --kills=3 --objective=language_model

A signal comes at a random moment: during the imports, soon after the start's first write, some time
after a random step, or when a checkpoint of a random step begins to be stored. The same command
then starts the run again. Every tenth signal is SIGTERM, after which the trainer must exit
in time with code 75; the others are SIGKILL. With `--store=gs` the workdir is in a Cloud Storage
server of this process, which fails some requests at random. The undisturbed run is in a local
folder in both cases.

At the end the last checkpoint must hold the same bits in every variable, and metrics.jsonl the same
lines, each once, with equal values except for times. All checkpoints must verify, and neither the
workdir nor the scratch folder may hold anything else. Exit code 1 when anything differs.
"""

import argparse
import contextlib
import dataclasses
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.common import check_end, run, tail, training
from benchmarks.compare import differences, last_checkpoint, leftovers
from benchmarks.soak_plan import Kill, RandomFaults, plan
from storage.exit_codes import RUN_AGAIN
from storage.store import open_store
from tests.fakes.gcs_server import GcsServer
from trainer.run import manifest

_CONFIG = "configs/sample.py"
# Enough steps for a hundred kills, and a checkpoint about every third of a second.
_OVERRIDES = ("train.epochs=16", "train.log_every_steps=1", "checkpoint.every_steps=10")
# Terms join in the second epoch, so that a kill can come before and after.
_JOIN_LATER = ("objective.terms_after_epochs=1", "train.epochs=3")
_UNLABELLED = "data.unlabelled_split=unlabelled"
_BESIDE = (_UNLABELLED, "data.unlabelled_batch_size=32", *_JOIN_LATER)
_OBJECTIVES = {
    "classification": (),
    "adversarial": ("objective.terms.adversarial=1.0", *_JOIN_LATER),
    "virtual_adversarial": ("objective.terms.virtual_adversarial=1.0", *_BESIDE),
    "entropy": ("objective.terms.entropy=1.0", *_BESIDE),
    "all_terms": (
        "objective.terms.adversarial=1.0",
        "objective.terms.virtual_adversarial=1.0",
        "objective.terms.entropy=1.0",
        *_BESIDE,
    ),
    "language_model": (
        "objective.name=language_model",
        _UNLABELLED,
        "objective.terms.distant=10.0",
        *_JOIN_LATER,
    ),
}
_BUCKET, _PREFIX = "bucket", "soak/"
_TERM_SECONDS = 25.0  # a machine is given up to 30
_POLL_SECONDS = 0.002
_START_SECONDS = 300.0  # a start that takes longer hangs
_RESUMED = re.compile(r"Resuming .* at step (\d+)")
_WARNING = re.compile(r"^W\d{4} .*\] (.*)", re.MULTILINE)


class Watch:
    """Sees what a start writes, without requests to the store: those could fail."""

    def __init__(self, url: str, server: GcsServer | None):
        self._url = url
        self._server = server
        self.begin()

    def begin(self) -> None:
        """Marks the beginning of another start: what is written from now on is its own."""
        self._before = self._stored()
        self._requests = len(self._server.log) if self._server else 0

    def begun(self) -> set[str]:
        """Returns the names that this start has begun to write, in a folder a moment later."""
        requests = self._server.log[self._requests :] if self._server else []
        asked = {
            request.name.removeprefix(_PREFIX)
            for request in requests
            if request.operation in ("insert", "start")
        }
        return asked | (self._stored() - self._before)

    def step(self) -> int:
        """Returns the last step whose checkpoint this start has begun to store, or 0."""
        matches = map(manifest.NAME.fullmatch, self.begun())
        return max((int(match["step"]) for match in matches if match), default=0)

    def has_incomplete(self) -> bool:
        """Returns True when some checkpoint has files but no manifest."""
        files = [match for match in map(manifest.NAME.fullmatch, self._stored()) if match]
        complete = {
            match.group("step", "claim") for match in files if match["part"] == manifest.MANIFEST
        }
        return any(match.group("step", "claim") not in complete for match in files)

    def _stored(self) -> set[str]:
        if self._server:
            return {name.removeprefix(_PREFIX) for name in self._server.objects(_BUCKET)}
        return set(open_store(self._url).list())


class Soak:
    """The run that is killed, and what is observed of it."""

    def __init__(self, url: str, log: Path, overrides: list[str], server: GcsServer | None):
        self._url, self._log, self._overrides = url, log, overrides
        self._watch = Watch(url, server)
        self._reached = 0  # the last step whose checkpoint any start has begun to store
        self.problems: list[str] = []
        self.incomplete = 0  # kills that left an incomplete checkpoint
        self.slowest_term = 0.0  # seconds

    def strike(self, kill: Kill) -> None:
        """Starts the run and sends it the signal; exits with an error when the run ends before."""
        # A target that an earlier start has passed would be met while its steps are repeated.
        kill = dataclasses.replace(kill, target=max(kill.target, self._reached + 1))
        self._watch.begin()
        has_come: dict[str, Callable[[], object]] = {
            "command": lambda: True,
            "first write": self._watch.begun,
            "step": lambda: self._watch.step() >= kill.target,
            "upload": lambda: self._watch.step() >= kill.target,
        }
        deadline = time.monotonic() + _START_SECONDS
        with training(_CONFIG, self._url, self._log, *self._overrides) as process:
            while not has_come[kill.moment]() and process.poll() is None:
                if time.monotonic() > deadline:
                    stacks = _stacks(process, self._log)
                    sys.exit(f"error: kill {kill}: the start takes too long\n{stacks}")
                time.sleep(_POLL_SECONDS)
            time.sleep(kill.pause)
            if process.poll() is not None:
                sys.exit(f"error: the run ended before kill {kill}\n{tail(self._log)}")
            process.send_signal(kill.signal)
            self._await_end(process, kill)
        self._note(kill)

    def _await_end(self, process: subprocess.Popen[bytes], kill: Kill) -> None:
        begin = time.monotonic()
        term = kill.signal == signal.SIGTERM
        expected = RUN_AGAIN if term else -signal.SIGKILL
        try:
            code = process.wait(_TERM_SECONDS)
        except subprocess.TimeoutExpired:
            self._complain(f"kill {kill}: no end\n{_stacks(process, self._log)}")
            return
        if term:
            self.slowest_term = max(self.slowest_term, time.monotonic() - begin)
        if code == 0:
            sys.exit(f"error: the run ended before kill {kill}")
        if code != expected:
            self._complain(f"kill {kill}: exit code {code}\n{tail(self._log)}")

    def _complain(self, problem: str) -> None:
        print(problem, flush=True)  # now, since a later start may end the program
        self.problems.append(problem)

    def _note(self, kill: Kill) -> None:
        """Prints what the kill left."""
        text = self._log.read_text(errors="replace")
        resumed = _RESUMED.search(text)
        step, incomplete = self._watch.step(), self._watch.has_incomplete()
        self._reached = max(self._reached, step)
        self.incomplete += incomplete
        print(
            f"kill {kill}; resumed at {resumed[1] if resumed else '-'}, begun {step or '-'}"
            + (", an incomplete checkpoint left" if incomplete else "")
            + "".join(f"\n  {warning}" for warning in _WARNING.findall(text)),
            flush=True,
        )
        if kill.signal == signal.SIGTERM:
            print(f"  {tail(self._log, 1)}", flush=True)


def _stacks(process: subprocess.Popen[bytes], log: Path) -> str:
    """Ends a process and returns the stacks of its threads, which it writes to its log."""
    process.send_signal(signal.SIGABRT)  # PYTHONFAULTHANDLER is set
    process.wait()
    return tail(log, 100)


def finish(url: str, log: Path, overrides: list[str]) -> None:
    """Runs the trainer to the end of the training."""
    with training(_CONFIG, url, log, *overrides) as process:
        check_end(process, log)


def both_runs(args: argparse.Namespace, folder: Path, server: GcsServer | None) -> list[str]:
    """Trains one run alone and one with kills; returns what is wrong, a line for each.

    The run with kills is in a bucket of `server` when that is given, else in `folder`.
    """
    generator = random.Random(args.seed)
    url = f"gs://{_BUCKET}/{_PREFIX[:-1]}" if server else str(folder / "killed")
    alone, log = str(folder / "alone"), folder / "log"
    cache = f"data.cache_dir={folder / 'cache'}"
    overrides = [*_OVERRIDES, *_OBJECTIVES[args.objective], cache]
    finish(alone, log, overrides)
    last_step = last_checkpoint(open_store(alone))[0].step
    print(f"{_CONFIG}: {last_step} steps alone", flush=True)
    faults = RandomFaults(args.fault_rate, random.Random(args.seed))
    soak = Soak(url, log, overrides, server)
    if server:
        server.choose = faults.choose
    for kill in plan(args.kills, last_step, generator):
        soak.strike(kill)
    finish(url, log, overrides)
    if server:
        server.choose = None  # the comparison itself meets no faults
        counts = ", ".join(f"{count} {fault}" for fault, count in sorted(faults.counts.items()))
        print(f"faults in {len(server.log)} requests: {counts or 'none'}")
    print(f"{soak.incomplete} kills left an incomplete checkpoint")
    print(f"slowest end after SIGTERM: {soak.slowest_term:.1f} s")
    store = open_store(url)
    scratch = [folder / "tmp" / f"longhaul-{os.getuid()}", folder / "killed" / ".scratch"]
    return soak.problems + leftovers(store, scratch) + differences(open_store(alone), store)


def main() -> None:
    """Compares both runs; exit code 1 when anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--store", choices=("local", "gs"), default="local")
    parser.add_argument("--objective", choices=list(_OBJECTIVES), default="classification")
    parser.add_argument("--fault-rate", type=float, default=0.03, help="fraction of the requests")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and faults")
    args = parser.parse_args()
    print(f"{args.objective}, {args.kills} kills, {args.store}, seed {args.seed}", flush=True)
    begin = time.monotonic()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="longhaul-")))
        (folder / "tmp").mkdir()
        # For the trainers. This process has read TMPDIR already.
        os.environ |= {"TMPDIR": str(folder / "tmp"), "PYTHONFAULTHANDLER": "1"}
        server = stack.enter_context(GcsServer([_BUCKET])) if args.store == "gs" else None
        if server:
            os.environ["STORAGE_EMULATOR_HOST"] = server.url
        found = both_runs(args, folder, server)
    for problem in found:
        print(problem)
    result = f"{len(found)} differences" if found else "no difference"
    print(f"{args.kills} kills in {(time.monotonic() - begin) / 60:.1f} minutes: {result}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    run(main)
