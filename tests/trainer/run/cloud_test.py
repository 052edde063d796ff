"""Complete runs in a bucket, while requests to it fail."""

import math
import os
import signal

import pytest

from storage.errors import UserError
from storage.store import open_store
from tests.fakes.gcs_faults import Fault
from tests.trainer.modes.runs import numbers, tensors
from trainer.machines.preemption import Stopped, StopRequests
from trainer.modes import train
from trainer.run.checkpoints import ranked
from trainer.run.clock import Clock


@pytest.fixture
def url(cloud, tmp_path):
    yield f"gs://bucket/{tmp_path.name}/run"
    cloud.clear()


def start(config, url, stop=None):
    """Trains, or resumes the run, to the end; failed requests are retried for one second."""
    store = open_store(url, retry_seconds=1.0)
    train.train_and_evaluate(config, store, Clock(), stop or StopRequests())


def steps(url):
    """Returns the steps of the checkpoints, newest first."""
    return [manifest.step for manifest in ranked(open_store(url), "last")]


def test_run_in_a_bucket_has_the_same_bits_as_a_local_one(run_config, finished, url):
    start(run_config, url)
    assert numbers(url) == numbers(finished)
    assert tensors(url) == tensors(finished)


@pytest.mark.parametrize("operation", ["insert", "delete", "list"])
def test_missing_permission_is_reported_before_the_first_step(cloud, run_config, url, operation):
    cloud.inject(Fault("403", operation=operation, times=math.inf))
    with pytest.raises(UserError, match="objectUser"):
        start(run_config, url)
    cloud.clear()
    assert not [name for name in open_store(url).list() if name.startswith(("claims", "metrics"))]


@pytest.mark.parametrize("kind", ["503", "403", "corrupt"])
def test_run_continues_after_failed_saves(cloud, run_config, finished, url, kind, caplog):
    cloud.inject(Fault(kind, operation="insert", name="checkpoints/[2-6]0/", times=math.inf))
    start(run_config, url)
    assert "of step 20 was not saved, the last one is of step 0" in caplog.text
    assert steps(url)[:2] == [82, 80]
    assert numbers(url) == numbers(finished)
    assert tensors(url) == tensors(finished)


def test_run_whose_last_save_fails_is_completed_by_the_next_start(cloud, run_config, finished, url):
    cloud.inject(Fault("503", operation="insert", name="checkpoints/82/", times=math.inf))
    with pytest.raises(UserError, match="no good answer for 1 s"):
        start(run_config, url)
    assert steps(url)[0] == 80
    cloud.clear()
    start(run_config, url)
    assert numbers(url) == numbers(finished)
    assert tensors(url) == tensors(finished)


def test_run_asked_to_leave_in_an_outage_names_the_step_it_will_resume_at(
    cloud, run_config, finished, url
):
    """SIGTERM arrives during the save of step 40, which fails, as do all saves after it."""

    def choose(operation, name):
        if operation == "insert" and "checkpoints/4" in (name or ""):
            os.kill(os.getpid(), signal.SIGTERM)
            return Fault("503")
        return None

    cloud.choose = choose
    message = r"at step 4\d, which could not be saved \(.*no good answer.*\); .* resumes at step 20"
    with StopRequests() as stop, pytest.raises(Stopped, match=message):
        start(run_config, url, stop)
    cloud.choose = None
    start(run_config, url)
    assert numbers(url) == numbers(finished)
    assert tensors(url) == tensors(finished)


def test_new_run_starts_from_weights_in_a_bucket(run_config, url, tmp_path, capsys):
    run_config = run_config.copy_and_resolve_references()
    run_config.train.epochs = 1
    start(run_config, url)
    run_config.checkpoint.init_from = url
    start(run_config, str(tmp_path / "fresh"))
    assert f"Starting from all weights of {url}" in capsys.readouterr().out
