"""`train.patience`: a run ends when its score no longer rises, resumed or not."""

import shutil

import pytest

from tests.trainer.modes.runs import lines, numbers, start, tensors

STEPS_PER_EPOCH = 41


@pytest.fixture(scope="module")
def impatient(run_config):
    """A config of at most 9 epochs that learns nothing: each validation has the same score."""
    config = run_config.copy_and_resolve_references()
    config.optimizer.update(learning_rate=1e-30, schedule="constant")
    config.train.update(epochs=9, patience=2, log_every_steps=41)
    config.checkpoint.every_steps = 0
    return config


@pytest.fixture(scope="module")
def ended(impatient, tmp_path_factory):
    """The workdir of an uninterrupted run. Tests must not change it."""
    folder = tmp_path_factory.mktemp("early") / "run"
    start(impatient, folder)
    return folder


def epochs(workdir):
    return [line["step"] // STEPS_PER_EPOCH for line in lines(workdir, "validation")]


def test_run_ends_after_epochs_without_a_better_score(ended):
    assert epochs(ended) == [1, 2, 3]
    (tested,) = lines(ended, "test")
    assert tested["step"] == 3 * STEPS_PER_EPOCH


def test_resumed_run_ends_at_the_same_epoch(impatient, ended, tmp_path, capsys):
    workdir = shutil.copytree(ended, tmp_path / "run")
    shutil.rmtree(workdir / "checkpoints" / str(3 * STEPS_PER_EPOCH))
    start(impatient, workdir)
    output = capsys.readouterr().out
    assert "Resuming" in output
    assert "No better validation accuracy for 2 epoch(s): training ends early" in output
    assert numbers(workdir) == numbers(ended)
    assert tensors(workdir, 3 * STEPS_PER_EPOCH) == tensors(ended, 3 * STEPS_PER_EPOCH)


def test_ended_run_trains_on_with_more_patience(impatient, ended, tmp_path):
    workdir = shutil.copytree(ended, tmp_path / "run")
    start(impatient, workdir)
    assert epochs(workdir) == [1, 2, 3]
    config = impatient.copy_and_resolve_references()
    config.train.patience = 3
    start(config, workdir)
    assert epochs(workdir) == [1, 2, 3, 4]
