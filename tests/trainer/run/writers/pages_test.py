"""What TensorBoard's pages show of a run: a real server on this machine, asked as its pages ask."""

import argparse
import json
import logging
import urllib.parse
import urllib.request

import numpy as np
import pytest
from tensorboard import default, program

from storage.store import open_store
from tests.trainer.run.writers.opened import open_writers
from trainer.run.writers.writer import Embedding, Histogram, Text

TOKENS = ("<pad>", "<unk>", "film")
VECTORS = np.array([[0.0, 1.0], [0.5, -2.0], [1e-7, 3.25]], np.float32)


def write_run(folder, accuracy, **fields):
    """Writes what a run of two validations writes."""
    writers = open_writers(open_store(str(folder)), **fields)
    for step in (40, 80):
        writers.write("train", step, {"loss": 1 / step})
        text = Text("reviews", f"| label | step |\n| --- | --- |\n| positive | {step} |")
        writers.write("validation", step, {"loss": 2 / step, "accuracy": accuracy}, [text])
        histogram = Histogram("weights/head", np.array([0.0, 1.0, 3.0]), np.array([4, step]))
        writers.write("epoch", step, {"loss": 1 / step}, [histogram])
    writers.write("test", 80, {"accuracy": accuracy}, [Embedding(TOKENS, VECTORS)])
    writers.close()


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """Serves two runs, and returns a function that asks for a page's data."""
    runs = tmp_path_factory.mktemp("runs")
    write_run(runs / "a", accuracy=0.5, batch_size=16)
    write_run(runs / "b", accuracy=0.75, batch_size=32)
    board = program.TensorBoard(plugins=default.get_plugins())
    flags = ["--host=127.0.0.1", "--port=0", f"--logdir={runs}", "--load_fast=false"]
    # Reads everything before the server starts.
    flags += ["--reload_interval=0", "--reload_task=blocking"]
    with pytest.MonkeyPatch.context() as patch:
        # Without absl's flags: other tests import the trainer, whose --host this isn't.
        patch.setattr(program.argparse_flags, "ArgumentParser", argparse.ArgumentParser)
        board.configure(["tensorboard", *flags])
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    url = board.launch()

    def answer(plugin, path, **query):
        page = f"{url}data/plugin/{plugin}/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(page, timeout=20) as response:  # noqa: S310 - this machine
            return response.read()

    return answer


def test_curves_of_training_and_validation_overlay(ask):
    tags = json.loads(ask("scalars", "tags"))
    assert {"loss", "accuracy"} <= tags["a/tensorboard/validation"].keys()
    assert "loss" in tags["a/tensorboard/train"]
    points = json.loads(ask("scalars", "scalars", run="b/tensorboard/validation", tag="accuracy"))
    assert [(step, value) for _, step, value in points] == [(40, 0.75), (80, 0.75)]


def test_runs_are_compared_by_hyperparameters_and_validation(ask):
    experiment = json.loads(ask("hparams", "experiment", request=json.dumps({})))
    fields = {field["name"]: field for field in experiment["hparamInfos"]}
    assert [name for name, field in fields.items() if field.get("differs")] == ["train.batch_size"]
    assert {"model.layer_sizes", "train.epochs", "seed"} <= fields.keys()
    metrics = [metric["name"] for metric in experiment["metricInfos"]]
    assert sorted(metric["tag"] for metric in metrics) == ["accuracy", "loss"]


def test_reviews_are_a_table(ask):
    steps = json.loads(ask("text", "text", run="a/tensorboard/validation", tag="reviews"))
    assert [entry["step"] for entry in steps] == [40, 80]
    assert "<td>positive</td>" in steps[0]["text"]


def test_weights_are_histograms(ask):
    run = "a/tensorboard/epoch"
    steps = json.loads(ask("histograms", "histograms", run=run, tag="weights/head"))
    assert [buckets for _, _, buckets in steps] == [[[0, 1, 4], [1, 3, step]] for step in (40, 80)]


def test_projector_has_the_vocabulary(ask):
    run = "a/tensorboard/test"
    assert run in json.loads(ask("projector", "runs"))
    (embedding,) = json.loads(ask("projector", "info", run=run))["embeddings"]
    assert embedding["tensorShape"] == [3, 2]
    name = embedding["tensorName"]
    tensor = np.frombuffer(ask("projector", "tensor", run=run, name=name, num_rows=9), np.float32)
    np.testing.assert_allclose(tensor.reshape(3, 2), VECTORS, rtol=1e-3)
    rows = ask("projector", "metadata", run=run, name=name, num_rows=9).decode().splitlines()
    assert rows == ["token\tid", "<pad>\t0", "<unk>\t1", "film\t2"]
