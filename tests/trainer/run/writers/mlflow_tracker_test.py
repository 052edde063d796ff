"""A run that stops and resumes, as MLflow keeps it in a folder."""

import pytest

from tests.trainer.run.writers.opened import metrics
from tests.trainer.run.writers.tracked import run_starts

pytest.importorskip("mlflow", reason="needs the extra mlflow")


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    return tmp_path_factory.mktemp("runs") / "imdb"


@pytest.fixture(scope="module")
def runs(workdir, tmp_path_factory):
    """Returns a client, and the runs that a run with two starts has made."""
    place = f"file:{tmp_path_factory.mktemp('mlflow')}"
    variables = {"MLFLOW_TRACKING_URI": place, "MLFLOW_ALLOW_FILE_STORE": "true"}
    run_starts("mlflow", workdir, "stop", "resume", **variables)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient

        client = MlflowClient(place)
        experiment = client.get_experiment_by_name("longhaul")
        yield client, client.search_runs([experiment.experiment_id])


def test_every_start_continues_the_same_run(runs, workdir):
    _, (run,) = runs
    assert run.info.run_name == "imdb"
    assert run.info.status == "FINISHED"
    assert (workdir / "tracking/mlflow").read_text().strip() == run.info.run_id


def test_no_point_is_sent_twice(runs):
    client, (run,) = runs
    points = {}
    for name in run.data.metrics:
        history = client.get_metric_history(run.info.run_id, name)
        points[name] = [(point.step, point.value) for point in history]
    assert points == {
        "train/loss": [(10, 0.5), (20, 0.25)],
        "validation/loss": [(20, 0.75)],
        "validation/accuracy": [(20, 0.875)],
        "test/accuracy": [(20, 0.8125)],
    }


def test_decisive_fields_are_the_parameters(runs):
    _, (run,) = runs
    assert run.data.params["model.layer_sizes"] == "128, 64"
    assert run.data.params["train.epochs"] == "10"  # as at the first start: they can't change


def test_unreachable_server_costs_one_warning_a_start(tmp_path):
    variables = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:1", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": 0}
    (error,) = run_starts("mlflow", tmp_path / "run", "resume", **variables)
    assert error.count("config.train.writers: mlflow is off until the next start") == 1
    assert len(metrics(tmp_path / "run")) == 4
