"""Mode `train_and_evaluate` on a workdir that holds a run: it resumes, or refuses a change."""

import json
import shutil
import signal

import pytest

from storage.errors import UserError
from storage.store import open_store
from tests.trainer.modes.runs import lines, numbers, start, tensors
from trainer.machines.preemption import Stopped, StopRequests
from trainer.modes import train
from trainer.run import epoch
from trainer.run.checkpoints import ranked
from trainer.run.clock import Clock
from trainer.run.saver import Saver


def test_resumed_run_has_the_same_bits_as_an_uninterrupted_one(run_config, workdir, finished):
    """Deletes the checkpoints after step 60 and the last lines, as if killed at step 63."""
    for step in (80, 82):
        shutil.rmtree(workdir / "checkpoints" / str(step))
    text = (workdir / "metrics.jsonl").read_text()
    (workdir / "metrics.jsonl").write_text(text[: text.index('"step": 70')])
    run_config = run_config.copy_and_resolve_references()
    run_config.train.steps_per_call = 7
    start(run_config, workdir)
    assert numbers(workdir) == numbers(finished)
    assert tensors(workdir) == tensors(finished)


def test_other_slices_are_resumed_and_told(run_config, workdir, capsys):
    for step in (80, 82):
        shutil.rmtree(workdir / "checkpoints" / str(step))
    config = run_config.copy_and_resolve_references()
    config.train.slices = 4
    start(config, workdir)
    assert "A batch had 2 slices before and has 4 now" in capsys.readouterr().out
    assert lines(workdir)[-1]["step"] == 82


def test_stop_between_an_evaluation_and_its_save_keeps_the_score(
    run_config, finished, tmp_path, monkeypatch
):
    """SIGTERM arrives while the save of step 41, the first epoch's end, waits for another save."""
    settle, stops = Saver.settle, iter([False, False, True])  # at the saves of steps 20, 40, 41

    def settle_late(self, seconds=None):
        if seconds == epoch._SECONDS_BETWEEN_CHECKS and next(stops, False):
            signal.raise_signal(signal.SIGTERM)
            return False
        return settle(self, seconds)

    monkeypatch.setattr(Saver, "settle", settle_late)
    store = open_store(str(tmp_path))
    with StopRequests() as stop, pytest.raises(Stopped, match="Stopped at step 41;"):
        train.train_and_evaluate(run_config, store, Clock(), stop)
    (saved,) = (m for m in ranked(store, "last") if m.step == 41)
    (line,) = (line for line in lines(finished, "validation") if line["step"] == 41)
    assert saved.score == line["accuracy"]
    assert saved.metrics == {name: line[name] for name in saved.metrics}
    start(run_config, tmp_path)
    assert numbers(tmp_path) == numbers(finished)
    assert tensors(tmp_path) == tensors(finished)


def test_resume_skips_a_damaged_checkpoint(run_config, workdir, finished, capsys):
    for path in (workdir / "checkpoints" / "82").glob("*.data*"):
        path.write_bytes(path.read_bytes()[:-1])
    start(run_config, workdir)
    assert "at step 80" in capsys.readouterr().out
    assert numbers(workdir) == numbers(finished)
    assert tensors(workdir) == tensors(finished)


def test_resume_replaces_checkpoints_that_do_not_verify(run_config, workdir, finished):
    for step in (80, 82):
        for path in (workdir / "checkpoints" / str(step)).glob("*.data*"):
            path.unlink()
    config = run_config.copy_and_resolve_references()
    config.checkpoint.update(every_steps=7, keep_last=1)
    start(config, workdir)
    assert tensors(workdir) == tensors(finished)


def test_metrics_are_restored_from_the_checkpoint(run_config, workdir, finished):
    (workdir / "metrics.jsonl").write_text("no json\n")
    start(run_config, workdir)
    assert numbers(workdir) == numbers(finished)


def test_run_whose_config_lacks_a_newer_field_resumes(run_config, workdir, finished):
    shutil.rmtree(workdir / "checkpoints" / "82")
    stored = json.loads((workdir / "config.json").read_text())
    del stored["train"]["tensorboard_dir"]
    (workdir / "config.json").write_text(json.dumps(stored))
    start(run_config, workdir)
    assert tensors(workdir) == tensors(finished)


def test_changed_config_is_refused_field_by_field(run_config, workdir):
    config = run_config.copy_and_resolve_references()
    config.model.layer_sizes = (16,)
    config.seed = 3
    config.checkpoint.every_steps = 1
    before = (workdir / "config.json").read_bytes()
    with pytest.raises(UserError, match=r"layer_sizes: .*\[8\], got \[16\].*seed: .*0, got 3"):
        start(config, workdir)
    assert (workdir / "config.json").read_bytes() == before
    assert len(list((workdir / "claims").iterdir())) == 1


def test_refused_start_takes_no_claim(run_config, workdir):
    (workdir / "config.json").unlink()
    config = run_config.copy_and_resolve_references()
    config.model.dropout = 0.6
    with pytest.raises(UserError, match=r"dropout: the run has 0.2, got 0.6"):
        start(config, workdir)
    assert len(list((workdir / "claims").iterdir())) == 1


def test_changed_vocabulary_is_refused(run_config, workdir):
    path = workdir / "vocabulary.txt"
    path.write_text(path.read_text().replace("film\n", "zzz\n"))
    with pytest.raises(UserError, match=r"vocabulary.txt is not the file"):
        start(run_config, workdir)


def test_reviews_may_move_but_not_change(run_config, reviews, tmp_path):
    config = run_config.copy_and_resolve_references()
    config.train.update(epochs=1)
    config.data.update(source="files:reviews", dir=str(tmp_path / "before"))
    shutil.copytree(reviews, tmp_path / "before" / "reviews")
    start(config, tmp_path / "run")
    (tmp_path / "before").rename(tmp_path / "after")
    config.data.dir = str(tmp_path / "after")
    start(config, tmp_path / "run")
    path = tmp_path / "after" / "reviews" / "train.jsonl"
    path.write_text(path.read_text().replace("film", "zebra"))
    with pytest.raises(UserError, match="the training reviews are not those"):
        start(config, tmp_path / "run")
