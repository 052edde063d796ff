"""What a start does before it writes: it reads the reviews to test, and may compile the step."""

from concurrent.futures import Future

import pytest

from storage.errors import UserError
from storage.store import open_store
from tests.trainer.modes.runs import numbers, tensors
from tests.trainer.modes.runs import start as train
from trainer.machines.preemption import StopRequests
from trainer.run import start as starts
from trainer.run.clock import Clock
from trainer.run.epoch import train_epoch


class SlowReading(Future):
    """A reading that takes longer than everything else that a start does."""

    def __init__(self, read):
        super().__init__()
        self._read = read

    def result(self, timeout=None):
        return self._read()


class QuickReading(SlowReading):
    """A reading that is done at once."""

    def done(self):
        return True


@pytest.mark.parametrize("devices", [0, 4])
def test_step_is_compiled_once_while_reviews_are_read(run_config, tmp_path, monkeypatch, devices):
    monkeypatch.setattr(starts, "in_background", SlowReading)
    config = run_config.copy_and_resolve_references()
    config.strategy.virtual_devices = devices
    stop = StopRequests()
    run, progress = starts.start(config, open_store(str(tmp_path)), Clock(), stop)
    assert run.train_steps.experimental_get_tracing_count() == 1
    assert run.state.step.read_value().numpy() == 0
    train_epoch(run, 0, progress, stop)
    assert run.train_steps.experimental_get_tracing_count() == 1
    run.saver.finish()
    run.writer.close()


@pytest.mark.parametrize("reading", [SlowReading, QuickReading])
def test_run_does_not_depend_on_how_long_the_reading_takes(
    run_config, finished, tmp_path, monkeypatch, reading
):
    monkeypatch.setattr(starts, "in_background", reading)
    train(run_config, tmp_path)
    assert numbers(tmp_path) == numbers(finished)
    assert tensors(tmp_path) == tensors(finished)


def test_mistake_in_the_reviews_to_test_is_found_before_anything_is_written(run_config, tmp_path):
    config = run_config.copy_and_resolve_references()
    config.data.test_split = "tset"
    with pytest.raises(UserError, match="tset"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
