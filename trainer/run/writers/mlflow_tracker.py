"""Metrics for MLflow.

    tracker = MlflowTracker(store, claim, lines, config)    # sends what MLflow lacks of the lines
    tracker.write("train", 450, {"loss": 0.41})             # as train/loss

Its own environment variables say where to: MLFLOW_TRACKING_URI and what the server asks for, and
MLFLOW_EXPERIMENT_NAME (longhaul by default).
"""

import json
import os
import time
from collections.abc import Mapping
from typing import Any

import ml_collections

from storage.claims import Claim
from storage.store import Store
from trainer.run.writers import run_ids
from trainer.run.writers.hyperparameters import hyperparameters
from trainer.run.writers.writer import numbers

_SERVICE = "mlflow"


class MlflowTracker:
    """The MLflow run of a workdir, which each start continues."""

    def __init__(self, store: Store, claim: Claim, lines: bytes, config: ml_collections.ConfigDict):
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read at import
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        # Imported here because it takes a second.
        import mlflow

        self._client = mlflow.MlflowClient()
        self._id = self._open_run(store, claim, config)
        self._points = self._points_sent()
        for line in map(json.loads, lines.splitlines()):
            self.write(line["kind"], line["step"], line)

    def write(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Sends those of a line's numbers that MLflow lacks."""
        from mlflow.entities import Metric

        now = time.time_ns() // 10**6  # milliseconds
        metrics = [
            Metric(f"{kind}/{name}", value, now, step) for name, value in numbers(values).items()
        ]
        missing = [metric for metric in metrics if (metric.key, step) not in self._points]
        self._client.log_batch(self._id, metrics=missing)

    def close(self, finished: bool) -> None:
        """Ends the run at MLflow, as finished or as killed."""
        self._client.set_terminated(self._id, "FINISHED" if finished else "KILLED")

    def _open_run(self, store: Store, claim: Claim, config: ml_collections.ConfigDict) -> str:
        """Returns the id of the workdir's run, or of a fresh one; its state is then `RUNNING`."""
        run_id = run_ids.read(store, _SERVICE)
        if run_id is None:
            run_id = self._create_run(store, config)
            run_ids.write(store, _SERVICE, run_id, claim.check)
        else:
            self._client.update_run(run_id, status="RUNNING")
        return run_id

    def _create_run(self, store: Store, config: ml_collections.ConfigDict) -> str:
        import mlflow
        from mlflow.entities import Param

        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "longhaul")
        experiment = mlflow.set_experiment(name)
        run = self._client.create_run(
            experiment.experiment_id,
            run_name=run_ids.name(store.url),
            tags={"workdir": store.url},
        )
        params = [Param(field, str(value)) for field, value in hyperparameters(config).items()]
        self._client.log_batch(run.info.run_id, params=params)
        return run.info.run_id

    def _points_sent(self) -> set[tuple[str, int]]:
        """Returns name and step of each point that earlier starts have sent."""
        names = self._client.get_run(self._id).data.metrics
        histories = (self._client.get_metric_history(self._id, name) for name in names)
        return {(point.key, point.step) for history in histories for point in history}
