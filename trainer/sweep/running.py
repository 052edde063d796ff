"""Runs the trials of a sweep on this machine; other machines on the same store share them.

    results = Sweep(store, trials, make_command, epochs_of, parallel=2).run(stop)

A worker that finds a trial free claims it (see `storage.leases`), so that each trial runs once, and
those of a lost machine are taken over. A trial that fails is tried once by a command.
"""

import threading
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from storage import leases
from storage.exit_codes import DONE, RUN_AGAIN
from storage.store import Store
from trainer.machines.preemption import GRACE_SECONDS, StopRequests
from trainer.run import terminal
from trainer.sweep import results
from trainer.sweep.halving import Halving
from trainer.sweep.process import TrialProcess
from trainer.sweep.results import Result
from trainer.sweep.trials import Trial

_POLL_SECONDS = 1.0
_SECONDS_TO_LEAVE = GRACE_SECONDS + 5.0  # for the runs when the sweep is stopped


class _Running(NamedTuple):
    process: TrialProcess
    is_leaving: bool  # whether it was asked to, because it is stopped early


class Sweep:
    """The trials, and which of them run here."""

    def __init__(
        self,
        store: Store,
        trials: Sequence[Trial],
        make_command: Callable[[Trial], Sequence[str]],
        epochs_of: Callable[[Trial], int],
        parallel: int = 1,
        halving: Halving | None = None,
        lapse_seconds: float = leases.LAPSE_SECONDS,
    ):
        """`make_command` returns what trains a trial, `epochs_of` how many epochs that has.

        At most `parallel` trials run here at once. Without `halving` none is stopped early.
        `lapse_seconds` is the same for all machines.
        """
        self._store, self._trials = store, {trial.name: trial for trial in trials}
        self._make_command, self._epochs_of = make_command, epochs_of
        self._parallel, self._halving = parallel, halving
        self._lapse_seconds = lapse_seconds
        self._ended = threading.Event()  # a process here
        self._running: dict[str, _Running] = {}
        self._tried: set[str] = set()  # by this command
        self._attempts: dict[str, int] = {}  # failures before this command
        self._results: dict[str, Result] = {}  # of the settled trials

    def run(self, stop: StopRequests) -> dict[str, Result]:
        """Returns when each trial is settled, or was tried here; the results of all by name.

        Raises Stopped when the process is asked to leave, after its runs have saved and left.
        """
        failed = results.kept_of(self._store, [*self._trials.values()])
        self._attempts = {name: result.attempt for name, result in failed.items()}
        with leases.Worker(self._store, self._lapse_seconds) as worker, stop.deferred():
            try:
                self._run(worker, stop)
            finally:
                self._leave()
        current = results.current(self._store, [*self._trials.values()])
        settled = (results.DONE, results.STOPPED_EARLY)
        done = [name for name, result in current.items() if result.state in settled]
        # What killed workers have left. Another command may run more trials of this sweep.
        leases.clear_claims(self._store, done)
        return current

    def _run(self, worker: leases.Worker, stop: StopRequests) -> None:
        has_waited = False
        while self._running or self._open():
            stop.check()
            self._ended.clear()
            for name in list(self._running):
                self._watch(name, worker)
            self._start_more(worker)
            if not self._running and not self._open():
                return
            if not self._running and not has_waited:
                others = worker.others()
                terminal.say(f"Waiting for {others} other worker(s); a lost one's trials run here")
                has_waited = True
            self._ended.wait(_POLL_SECONDS)

    def _open(self) -> list[str]:
        """Returns the trials that are neither settled nor tried here."""
        return [n for n in self._trials if n not in self._results and n not in self._tried]

    def _settled(self) -> Collection[str]:
        """Returns the trials that are settled, as far as this command is concerned."""
        unknown = [trial for name, trial in self._trials.items() if name not in self._results]
        for name, result in results.kept_of(self._store, unknown).items():
            if result.state != results.FAILED or result.attempt > self._attempts.get(name, 0):
                self._results[name] = result
        return self._results

    def _start_more(self, worker: leases.Worker) -> None:
        """Starts free trials until as many run here as may."""
        while len(self._running) < self._parallel and (left := self._open()):
            taken = worker.take(left, of=1, done=self._settled)
            for name in taken:
                self._start(name, worker)
            if not taken:
                return

    def _start(self, name: str, worker: leases.Worker) -> None:
        """Starts or resumes a trial that this worker has claimed, unless it is to be stopped."""
        trial = self._trials[name]
        self._tried.add(name)
        if self._judged(trial):
            self._settle(trial, self._ended_well(trial), worker)
            return
        terminal.say(f"Trial {name}: starts")
        process = TrialProcess(self._store, trial, self._make_command(trial), self._ended)
        self._running[name] = _Running(process, is_leaving=False)

    def _watch(self, name: str, worker: leases.Worker) -> None:
        """Settles a trial whose process has ended; asks one to leave that is to be stopped."""
        process, is_leaving = self._running[name]
        code, trial = process.code(), process.trial
        if code is None:
            if not is_leaving and self._judged(trial):
                process.stop()
                self._running[name] = _Running(process, is_leaving=True)
            return
        del self._running[name]
        if not worker.holds(name):  # another worker runs it, and this process has found that out
            self._tried.discard(name)
            worker.release(name)
        elif code == DONE or (code == RUN_AGAIN and is_leaving):
            # One that is faster than the verdict is settled by it too: what comes out must not
            # depend on the speed of a machine.
            self._settle(trial, self._ended_well(trial), worker)
        elif code == RUN_AGAIN:
            terminal.say(f"Trial {name}: was stopped from outside; the same command resumes it")
            worker.release(name)
        else:
            self._settle(trial, self._failed(trial, process.failure()), worker)

    def _judged(self, trial: Trial) -> int | None:
        """Returns the epoch after which a trial is stopped early, None to go on."""
        if self._halving is None:
            return None
        scores = results.scores_so_far(self._store, trial)
        return self._halving.stopped_after(trial, scores, self._epochs_of(trial))

    def _ended_well(self, trial: Trial) -> Result:
        """Returns the result of a run that was trained to the end or stopped early."""
        found, epoch = results.of_run(self._store, trial), self._judged(trial)
        return found.after(epoch) if epoch else found._replace(state=results.DONE)

    def _failed(self, trial: Trial, message: str) -> Result:
        return results.of_run(self._store, trial)._replace(
            state=results.FAILED,
            message=message,
            attempt=self._attempts.get(trial.name, 0) + 1,
        )

    def _settle(self, trial: Trial, result: Result, worker: leases.Worker) -> None:
        results.keep(self._store, trial, result)
        self._results[trial.name] = result
        worker.release(trial.name)
        terminal.say(f"Trial {trial.name}: {describe(result)}")

    def _leave(self) -> None:
        """Stops what runs here, and waits until it has saved."""
        processes = [running.process for running in self._running.values()]
        for process in processes:
            process.stop()
        for process in processes:
            if not process.wait(_SECONDS_TO_LEAVE):
                process.kill()


def describe(result: Result) -> str:
    """Returns a result in words."""
    score = "" if result.score is None else f", score {result.score:.4f}"
    message = f": {result.message}" if result.message else ""
    return f"{result.state} after {result.epochs} epoch(s){score}{message}"
