"""Configs that the machines of a job could not run, or whose data they could not reach."""

import pytest

from configs import imdb, sample
from deploy.compatibility import check_reachable
from deploy.job import PREPARE
from deploy.targets.target import load, make_options
from tests.deploy.examples import make_job, refusal

TPUS = {
    "gke": {"project": "some-project", "image": "docker.io/a/b:1", "tpu_topology": "2x2"},
    "tpu_vm": {"project": "some-project", "zone": "us-west4-a"},
}


@pytest.mark.parametrize("target", TPUS)
def test_config_with_more_widths_than_a_tpu_compiles_is_refused(target):
    config = imdb.get_config()
    (options,) = make_options(target, TPUS[target])
    line = refusal(load(target).request, make_job(config=config), options)
    assert line.startswith("config.data.width_step: got 16, which makes 32 widths; a TPU compiles")
    config.data.width_step = 64
    assert load(target).request(make_job(config=config), options)


def reachable(
    mode="train_and_evaluate", source="tfds:imdb_reviews", folder="", init_from="", vectors=""
):
    config = sample.get_config()
    config.data.update(source=source, dir=folder)
    config.checkpoint.init_from = init_from
    config.model.vectors = vectors
    check_reachable(config, mode)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"source": "files:reviews"}, "config.data.source: got 'files:reviews', which the job's"),
        ({"source": "shards:sets"}, "config.data.source: got 'shards:sets', which the job's"),
        ({"folder": "/data/tfds"}, "config.data.dir: got '/data/tfds', a folder that the job's"),
        ({"init_from": "runs/a"}, "config.checkpoint.init_from: got 'runs/a', which the job's"),
        (
            {"vectors": "vectors.txt"},
            "config.model.vectors: got 'vectors.txt', a file that the job",
        ),
        (
            {"source": "shards:gs://bucket/sets", "mode": PREPARE},
            "config.data.source: got 'shards:gs://bucket/sets', which is prepared already",
        ),
    ],
)
def test_data_that_the_job_could_not_use_is_refused(values, line):
    assert refusal(reachable, **values).startswith(line)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"mode": PREPARE},
        {"mode": PREPARE, "vectors": "vectors.txt"},
        {"source": "sample"},
        {"source": "shards:gs://bucket/sets", "init_from": "gs://bucket/runs/a"},
    ],
)
def test_data_that_the_job_reaches_is_accepted(values):
    reachable(**values)
