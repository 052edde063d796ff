"""Kills one run again and again, and compares what comes of it with a run left alone.

    python -m benchmarks.soak --kills=100 --store=gs

A signal comes at a random moment: somewhere in the imports, soon after the start's first write,
some time after a random step, or when a checkpoint of a random step begins to be stored; the same
command then starts the run again. Every tenth signal is SIGTERM, which has to end with exit code 75
in time, the others are SIGKILL. With `--store=gs` the workdir is in a Cloud Storage of this
process, of whose requests some fail at random; the run left alone is in a local folder either way.

In the end the last checkpoint must hold the same bits in every variable, and metrics.jsonl the same
lines, each once, with the same values but for those that tell the time. All checkpoints must
verify, and neither the workdir nor the scratch folder may hold anything else. Exit code 1 when
anything differs.
"""

import argparse
import collections
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
from pathlib import Path

from benchmarks.common import tail, training
from benchmarks.compare import differences, last_checkpoint, remains
from storage.store import open_store
from tests.fakes.gcs_faults import Fault
from tests.fakes.gcs_server import GcsServer

_CONFIG = "configs/sample.py"
# Steps enough for a hundred kills, and a checkpoint about every third of a second.
_OVERRIDES = ("train.epochs=16", "train.log_every_steps=1", "checkpoint.every_steps=10")
_BUCKET, _PREFIX = "bucket", "soak/"
_FAULTS = ("429", "503", "reset", "truncate", "drop", "slow", "corrupt")
_SLOW_SECONDS = 0.2
# Moment -> how often it is chosen, and the longest pause, in seconds, from there to the signal.
_MOMENTS = {
    "command": (1, 6.0),  # imports, and reading what is there
    "first write": (2, 0.5),  # the claim comes in this time, and much of the resumption
    "step": (4, 0.5),  # a few calls of several steps each
    "upload": (3, 0.02),  # of a checkpoint's files
}
_TERM_EVERY = 10  # signals
_TERM_SECONDS = 25.0  # a machine is given up to 30
_POLL_SECONDS = 0.002
_START_SECONDS = 300.0  # a start that takes longer hangs
_LAST_TARGET = 0.9  # share of the run: the last signal, too, comes before its end
_STOPPED_FROM_OUTSIDE = 75
_CHECKPOINT_FILE = re.compile(r"(?P<prefix>checkpoints/(?P<step>\d+)/claim-\d+)\.(?P<part>.+)")
_RESUMED = re.compile(r"Resuming .* at step (\d+)")
_WARNING = re.compile(r"^W\d{4} .*\] (.*)", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Kill:
    """What happens to one start of the run."""

    number: int
    signal: signal.Signals
    moment: str
    pause: float  # seconds
    target: int  # step, where the moment has one

    def __str__(self) -> str:
        moment = (
            f"{self.moment} {self.target}" if self.moment in ("step", "upload") else self.moment
        )
        return f"{self.number}: {self.signal.name}, {self.pause:.3f} s after {moment}"


def plan(kills: int, last_step: int, generator: random.Random) -> list[Kill]:
    """So many kills over the whole run: the targets are in equal parts of it, one in each."""
    part = _LAST_TARGET * last_step / kills
    planned = []
    for number in range(1, kills + 1):
        term = number % _TERM_EVERY == 0
        # Python itself answers a SIGTERM that comes before the trainer listens.
        moments = [moment for moment in _MOMENTS if not (term and moment == "command")]
        weights = [_MOMENTS[moment][0] for moment in moments]
        moment = generator.choices(moments, weights)[0]
        planned.append(
            Kill(
                number=number,
                signal=signal.SIGTERM if term else signal.SIGKILL,
                moment=moment,
                pause=generator.uniform(0.0, _MOMENTS[moment][1]),
                target=int(part * (number - 1 + generator.random())),
            )
        )
    return planned


class Weather:
    """Chooses which requests fail, and counts them by kind."""

    def __init__(self, rate: float, generator: random.Random):
        self._rate = rate
        self._generator = generator
        self.counts = collections.Counter()

    def choose(self, operation: str, name: str) -> Fault | None:
        """The fault of a request, None for most."""
        if self._generator.random() >= self._rate:
            return None
        with_data = operation in ("insert", "chunk", "download")
        kind = self._generator.choice([k for k in _FAULTS if with_data or k != "corrupt"])
        self.counts[kind] += 1
        return Fault(kind, seconds=_SLOW_SECONDS)


class Watch:
    """What a start writes, seen from outside: none of this is a request, which could fail."""

    def __init__(self, url: str, server: GcsServer | None):
        self._url = url
        self._server = server
        self.begin()

    def begin(self) -> None:
        """From here on, what is written is of another start."""
        self._before = self._stored()
        self._requests = len(self._server.log) if self._server else 0

    def begun(self) -> set[str]:
        """Names that this start has begun to write; a folder shows them a moment later."""
        requests = self._server.log[self._requests :] if self._server else ()
        asked = {
            request.name.removeprefix(_PREFIX)
            for request in requests
            if request.operation in ("insert", "start")
        }
        return asked | (self._stored() - self._before)

    def step(self) -> int:
        """The last step of which this start has begun to store a checkpoint, 0 for none."""
        matches = map(_CHECKPOINT_FILE.fullmatch, self.begun())
        return max((int(match["step"]) for match in matches if match), default=0)

    def has_half(self) -> bool:
        """True when there are files of a checkpoint without its manifest."""
        files = [match for match in map(_CHECKPOINT_FILE.fullmatch, self._stored()) if match]
        whole = {file["prefix"] for file in files if file["part"] == "manifest.json"}
        return any(file["prefix"] not in whole for file in files)

    def _stored(self) -> set[str]:
        if self._server:
            return {name.removeprefix(_PREFIX) for name in self._server.objects(_BUCKET)}
        return set(open_store(self._url).list())


class Soak:
    """The run that is killed, and what is noted meanwhile."""

    def __init__(self, url: str, log: Path, overrides: list[str], server: GcsServer | None):
        self._command = (_CONFIG, url, log, *overrides)
        self._log = log
        self._watch = Watch(url, server)
        self._reached = 0  # the last step of which a checkpoint was begun, by any start
        self.problems: list[str] = []
        self.halves = 0  # kills that left half a checkpoint
        self.slowest_term = 0.0  # seconds

    def strike(self, kill: Kill) -> None:
        """Starts the run and sends it the signal; exits when the run ends before."""
        # A target that an earlier start has passed would be one of the work that is done again.
        kill = dataclasses.replace(kill, target=max(kill.target, self._reached + 1))
        self._watch.begin()
        come = {
            "command": lambda: True,
            "first write": self._watch.begun,
            "step": lambda: self._watch.step() >= kill.target,
            "upload": lambda: self._watch.step() >= kill.target,
        }
        deadline = time.monotonic() + _START_SECONDS
        with training(*self._command) as process:
            while not come[kill.moment]() and process.poll() is None:
                if time.monotonic() > deadline:
                    sys.exit(f"error: kill {kill}: it hangs\n{_stacks(process, self._log)}")
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
        expected = _STOPPED_FROM_OUTSIDE if term else -signal.SIGKILL
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
        print(problem, flush=True)  # at once: a later start may be the end of all
        self.problems.append(problem)

    def _note(self, kill: Kill) -> None:
        """Prints what has come of a kill."""
        text = self._log.read_text(errors="replace")
        resumed = _RESUMED.search(text)
        step, half = self._watch.step(), self._watch.has_half()
        self._reached = max(self._reached, step)
        self.halves += half
        print(
            f"kill {kill}; resumed at {resumed[1] if resumed else '-'}, begun {step or '-'}"
            + (", half a checkpoint left" if half else "")
            + "".join(f"\n  {warning}" for warning in _WARNING.findall(text)),
            flush=True,
        )
        if kill.signal == signal.SIGTERM:
            print(f"  {tail(self._log, 1)}", flush=True)


def _stacks(process: subprocess.Popen[bytes], log: Path) -> str:
    """Where the threads of a process are, which it doesn't outlive."""
    process.send_signal(signal.SIGABRT)  # PYTHONFAULTHANDLER is set
    process.wait()
    return tail(log, 100)


def finish(url: str, log: Path, overrides: list[str]) -> None:
    """Runs to the end."""
    with training(_CONFIG, url, log, *overrides) as process:
        if process.wait():
            sys.exit(f"error: the trainer ended with code {process.returncode}:\n{tail(log)}")


def both_runs(args: argparse.Namespace, folder: Path, server: GcsServer | None) -> list[str]:
    """One run alone and one with kills, in `folder` and `server`; what is wrong, a line each."""
    generator = random.Random(args.seed)
    url = f"gs://{_BUCKET}/{_PREFIX[:-1]}" if server else str(folder / "killed")
    alone, log = str(folder / "alone"), folder / "log"
    overrides = [*_OVERRIDES, f"data.cache_dir={folder / 'cache'}"]
    finish(alone, log, overrides)
    last_step = last_checkpoint(open_store(alone))[0].step
    print(f"{_CONFIG}: {last_step} steps alone", flush=True)
    weather = Weather(args.fault_rate, random.Random(args.seed))
    soak = Soak(url, log, overrides, server)
    if server:
        server.choose = weather.choose
    for kill in plan(args.kills, last_step, generator):
        soak.strike(kill)
    finish(url, log, overrides)
    if server:
        server.choose = None  # what follows isn't tested, it tests
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(weather.counts.items()))
        print(f"faults in {len(server.log)} requests: {counts or 'none'}")
    print(f"{soak.halves} left half a checkpoint; slowest SIGTERM {soak.slowest_term:.1f} s")
    store = open_store(url)
    scratch = [folder / "tmp" / f"longhaul-{os.getuid()}", folder / "killed" / ".scratch"]
    left = remains(store, scratch)
    return soak.problems + left + differences(open_store(alone), store)


def main() -> None:
    """Runs once alone and once with kills; exit code 1 when anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--store", choices=("local", "gs"), default="local")
    parser.add_argument("--fault-rate", type=float, default=0.03, help="share of the requests")
    parser.add_argument("--seed", type=int, default=0, help="of moments and faults")
    args = parser.parse_args()
    print(f"{args.kills} kills, {args.store}, seed {args.seed}", flush=True)
    begin = time.monotonic()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="longhaul-")))
        (folder / "tmp").mkdir()
        # The trainers inherit these; this process knows its own folder for such files already.
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
    main()
