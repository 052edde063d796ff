"""Fixtures of one finished run, trained once, that all tests of the trainer share."""

import shutil
from pathlib import Path

import ml_collections
import pytest

from storage.store import open_store
from tests.conftest import small_config
from tests.trainer.modes.runs import flags_of
from trainer.machines.preemption import StopRequests
from trainer.modes import train
from trainer.run.clock import Clock


@pytest.fixture(scope="session")
def run_config(reviews) -> ml_collections.ConfigDict:
    """Returns a config for two epochs of 41 steps, a checkpoint every 20, a train line every 10."""
    config = small_config()
    config.data.source = f"files:{reviews}"
    config.model.layer_sizes = (8,)  # each of many processes traces it
    config.train.update(log_every_steps=10, steps_per_call=4)
    config.train.update(histograms=True, profile_steps=(10, 12))
    config.checkpoint.update(every_steps=20, keep_last=3)
    config.evaluation.batch_size = 64
    return config


@pytest.fixture(scope="session")
def finished(run_config, tmp_path_factory) -> Path:
    """Returns the workdir of an uninterrupted run of `run_config`. Tests must not change it."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    train.train_and_evaluate(run_config, open_store(str(folder)), Clock(), StopRequests())
    return folder


@pytest.fixture(scope="session")
def flags(run_config) -> list[str]:
    """Returns the flags that give a run the config `run_config`."""
    return flags_of(run_config)


@pytest.fixture
def workdir(finished, tmp_path) -> Path:
    """Returns a copy of the workdir `finished` that a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "run"))
