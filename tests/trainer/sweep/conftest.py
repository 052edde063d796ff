"""Sweeps of runs that need no TensorFlow."""

import sys

import pytest

from tests.trainer.sweep import fake_run
from trainer.machines.preemption import StopRequests
from trainer.sweep import running, trials


@pytest.fixture
def run_sweep(monkeypatch):
    """Returns a function that runs a sweep with a trial for each of some texts.

    A text holds the scores and the end of `fake_run`. It returns a result for each trial.
    """

    monkeypatch.setattr(running, "_POLL_SECONDS", 0.1)

    def run_sweep(store, runs, stop=None, commands=None, **options):
        planned = trials.named([{"seed": number} for number in range(len(runs))])

        def command(trial):
            if commands is not None:
                commands.append(trial.name)
            run = runs[trial.values["seed"]].split()
            workdir = f"{store.url.rstrip('/')}/{trial.folder}"
            return [sys.executable, "-m", fake_run.__name__, workdir, *run]

        sweep = running.Sweep(store, planned, command, lambda trial: 10, **options)
        return [*sweep.run(stop or StopRequests()).values()]

    return run_sweep
