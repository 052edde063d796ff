"""Metrics for Weights & Biases.

    tracker = WandbTracker(store, claim, lines, config)     # sends what W&B lacks of the lines
    tracker.write("train", 450, {"loss": 0.41})             # as train/loss

Its own environment variables say where to: WANDB_API_KEY, WANDB_PROJECT (longhaul by default),
WANDB_ENTITY, WANDB_MODE (such as offline), WANDB_DIR.
"""

import json
import os
import uuid
from collections.abc import Mapping
from typing import Any

import ml_collections
from absl import logging

from storage.claims import Claim
from storage.store import Store
from trainer.run.writers import run_ids
from trainer.run.writers.hyperparameters import hyperparameters
from trainer.run.writers.writer import KINDS, numbers

_SERVICE = "wandb"
_INIT_SECONDS, _FINISH_SECONDS = 20.0, 50.0  # the limits for a server that doesn't answer
_STOPPED = 75  # the exit code of a run that is stopped from outside


class WandbTracker:
    """The W&B run of a workdir, which each start continues."""

    def __init__(self, store: Store, claim: Claim, lines: bytes, config: ml_collections.ConfigDict):
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read at import
        # Imported here because it takes half a second.
        import wandb

        settings = wandb.Settings(
            silent=True,  # also keeps it from asking for a key
            console="off",
            save_code=False,
            disable_git=True,
            init_timeout=_INIT_SECONDS,
            finish_timeout=_FINISH_SECONDS,
            finish_timeout_raises=True,
            stop_fn=_ignore_stop,
        )
        wandb.setup(settings)
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "longhaul"),
            id=_run_id(store, claim),
            name=run_ids.name(store.url),
            resume="allow",
            config=hyperparameters(config),
            allow_val_change=True,  # of train.epochs
            settings=settings,
        )
        for kind in KINDS:
            self._run.define_metric(f"{kind}/*", step_metric="step")
        # Up to these steps W&B has the lines of a kind; its own steps just count the rows.
        self._sent = {kind: self._run.summary.get(f"{kind}/step", -1) for kind in KINDS}
        for line in map(json.loads, lines.splitlines()):
            self.write(line["kind"], line["step"], line)

    def write(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Sends a line's numbers as a row, unless earlier starts have sent it."""
        if step > self._sent[kind]:
            named = {f"{kind}/{name}": value for name, value in numbers(values).items()}
            self._run.log({**named, f"{kind}/step": step, "step": step})

    def close(self, finished: bool) -> None:
        """Ends the run at W&B, as finished or as preempted."""
        if not finished:
            self._run.mark_preempting()
        self._run.finish(exit_code=0 if finished else _STOPPED)


def _ignore_stop() -> None:
    """Warns when a user asks to stop at W&B, in place of W&B's interrupt of the process.

    What started the process would start it again, so it is what has to be stopped.
    """
    logging.warning("A stop that was asked for at W&B is ignored; stop the training's process")


def _run_id(store: Store, claim: Claim) -> str:
    run_id = run_ids.read(store, _SERVICE)
    if run_id is None:
        run_id = uuid.uuid4().hex
        run_ids.write(store, _SERVICE, run_id, claim.check)
    return run_id
