import json
import re
import shutil
import signal

import numpy as np
import pytest
import tensorflow as tf

from input_pipeline import load
from storage.errors import UserError
from storage.store import open_store
from trainer.learning.scorer import Scorer
from trainer.machines.preemption import Stopped, StopRequests
from trainer.modes import train
from trainer.run.checkpoints import ranked, restore
from trainer.run.clock import Clock
from trainer.run.saver import Saver
from trainer.run.trained_network import load_trained

STEPS = 82


def start(config, workdir):
    train.train_and_evaluate(config, open_store(str(workdir)), Clock(), StopRequests())


def lines(workdir, *kinds):
    text = open_store(str(workdir)).read("metrics.jsonl")
    parsed = [json.loads(line) for line in text.splitlines()]
    return [line for line in parsed if not kinds or line["kind"] in kinds]


def numbers(workdir):
    """The metrics without what a clock has measured."""
    timed = ("reviews_per_second", "tokens_per_second", "goodput", "time")
    return [{k: v for k, v in line.items() if k not in timed} for line in lines(workdir)]


def tensors(workdir, step=STEPS):
    """All tensors of a checkpoint as bytes, by name."""
    found = {}

    def read(path, _):
        reader = tf.train.load_checkpoint(path)
        names = reader.get_variable_to_dtype_map().keys()
        found.update({n: reader.get_tensor(n).tobytes() for n in names if "OBJECT_GRAPH" not in n})

    restore(open_store(str(workdir)), str(step), read)
    return found


def test_a_run_leaves_what_the_contract_says(finished):
    names = {path.name for path in finished.iterdir() if not path.name.startswith(".")}
    assert names == {
        "config.json", "vocabulary.txt", "metrics.jsonl", "tensorboard", "checkpoints", "claims"
    }  # fmt: skip
    assert [line["step"] for line in lines(finished, "train")] == list(range(10, 82, 10))
    assert [line["step"] for line in lines(finished, "validation", "epoch")] == [41, 41, 82, 82]
    assert [line["step"] for line in lines(finished, "test")] == [STEPS]
    unique = {(line["kind"], line["step"]) for line in lines(finished)}
    assert len(unique) == len(lines(finished))
    assert [m.step for m in ranked(open_store(str(finished)), "last")][:3] == [82, 80, 60]


def test_an_epoch_line_says_where_the_time_went(finished):
    for line in lines(finished, "epoch"):
        assert 0 < line["padding"] < 0.5
        assert line["goodput"] == line["time"]["training"]
        assert sum(line["time"].values()) == pytest.approx(1.0)
        assert {"start", "compile", "input wait", "evaluation"} <= line["time"].keys()


def test_terminal_lines_are_those_of_the_contract(run_config, workdir, capsys):
    shutil.rmtree(workdir / "checkpoints")
    start(run_config, workdir)
    output = capsys.readouterr().out.splitlines()
    number = r"\d\.\d{3}"
    epoch = (
        rf"Epoch: 1/2 Batch: 41/41 Train Loss: {number} Train Accuracy: {number} "
        rf"Val Accuracy: {number}"
    )
    assert sum(bool(re.fullmatch(epoch, line)) for line in output) == 1
    assert sum(bool(re.fullmatch(rf"Test Accuracy: {number}", line)) for line in output) == 1
    assert re.fullmatch(rf"Checkpoint: step \d+, validation accuracy {number}", output[-1])


def test_resumed_run_is_the_uninterrupted_one_to_the_bit(run_config, workdir, finished):
    """As after a kill at step 63: the checkpoints behind 60 and the last lines are not there."""
    for step in (80, 82):
        shutil.rmtree(workdir / "checkpoints" / str(step))
    text = (workdir / "metrics.jsonl").read_text()
    (workdir / "metrics.jsonl").write_text(text[: text.index('"step": 70')])
    run_config = run_config.copy_and_resolve_references()
    run_config.train.steps_per_call = 7
    start(run_config, workdir)
    assert numbers(workdir) == numbers(finished)
    assert tensors(workdir) == tensors(finished)


def test_stop_between_an_evaluation_and_its_save_loses_no_accuracy(
    run_config, finished, tmp_path, monkeypatch
):
    """The save of step 41, the first epoch's end, waits for another when the request comes."""
    settle, epochs_end = Saver.settle, iter([False, False, True])  # saves of steps 20, 40, 41

    def settle_late(self, seconds=None):
        if seconds == train._SECONDS_BETWEEN_CHECKS and next(epochs_end, False):
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


def test_finished_run_only_tests_again(run_config, workdir, finished, capsys):
    start(run_config, workdir)
    assert "Epoch:" not in capsys.readouterr().out
    assert numbers(workdir) == numbers(finished)


def test_resume_walks_back_from_a_damaged_checkpoint(run_config, workdir, finished, capsys):
    for path in (workdir / "checkpoints" / "82").glob("*.data*"):
        path.write_bytes(path.read_bytes()[:-1])
    start(run_config, workdir)
    assert "at step 80" in capsys.readouterr().out
    assert numbers(workdir) == numbers(finished)
    assert tensors(workdir) == tensors(finished)


def test_run_of_an_earlier_version_resumes(run_config, workdir, finished):
    shutil.rmtree(workdir / "checkpoints" / "82")
    stored = json.loads((workdir / "config.json").read_text())
    del stored["train"]["tensorboard_dir"]
    (workdir / "config.json").write_text(json.dumps(stored))
    start(run_config, workdir)
    assert tensors(workdir) == tensors(finished)


def test_another_config_is_refused_field_by_field(run_config, workdir):
    config = run_config.copy_and_resolve_references()
    config.model.layer_sizes = (16,)
    config.seed = 3
    config.checkpoint.every_steps = 1
    before = (workdir / "config.json").read_bytes()
    with pytest.raises(UserError, match=r"layer_sizes: .*\[8, 4\], got \[16\].*seed: .*0, got 3"):
        start(config, workdir)
    assert (workdir / "config.json").read_bytes() == before
    assert len(list((workdir / "claims").iterdir())) == 1


def test_vocabulary_that_does_not_fit_is_refused(run_config, workdir):
    path = workdir / "vocabulary.txt"
    path.write_text(path.read_text().replace("film\n", "zzz\n"))
    with pytest.raises(UserError, match=r"vocabulary.txt is not the vocabulary"):
        start(run_config, workdir)


def test_reviews_may_move_but_not_change(run_config, reviews, tmp_path):
    config = run_config.copy_and_resolve_references()
    config.train.update(epochs=1)
    config.data.update(source="files:reviews", dir=str(tmp_path / "here"))
    shutil.copytree(reviews, tmp_path / "here" / "reviews")
    start(config, tmp_path / "run")
    (tmp_path / "here").rename(tmp_path / "there")
    config.data.dir = str(tmp_path / "there")
    start(config, tmp_path / "run")
    path = tmp_path / "there" / "reviews" / "train.jsonl"
    path.write_text(path.read_text().replace("film", "zebra"))
    with pytest.raises(UserError, match="the training reviews are not those"):
        start(config, tmp_path / "run")


def test_fresh_run_starts_from_the_weights_of_another(run_config, finished, tmp_path, capsys):
    config = run_config.copy_and_resolve_references()
    config.checkpoint.init_from = str(finished)
    config.train.epochs = 1
    config.optimizer.learning_rate = 1e-9
    start(config, tmp_path / "fresh")
    assert f"Starting from the weights of {finished}" in capsys.readouterr().out
    (best,) = ranked(open_store(str(finished)), "best")[:1]
    fresh = tensors(tmp_path / "fresh", 41)
    name = "model/embedding/_embeddings/.ATTRIBUTES/VARIABLE_VALUE"
    name = next(n for n in fresh if n.startswith("model/embedding"))
    theirs = np.frombuffer(tensors(finished, best.step)[name], np.float32)
    np.testing.assert_allclose(np.frombuffer(fresh[name], np.float32), theirs, atol=1e-5)
    assert (tmp_path / "fresh/vocabulary.txt").read_bytes() == (
        finished / "vocabulary.txt"
    ).read_bytes()


def test_weights_of_another_network_are_refused(run_config, finished, tmp_path):
    config = run_config.copy_and_resolve_references()
    config.checkpoint.init_from = str(finished)
    config.model.layer_sizes = (8,)
    with pytest.raises(UserError, match=r"layer_sizes: got \(8,\)"):
        start(config, tmp_path / "fresh")
    assert not (tmp_path / "fresh").exists()


def test_loss_that_is_not_finite_stops_the_run_and_names_the_step(run_config, tmp_path):
    config = run_config.copy_and_resolve_references()
    config.optimizer.update(name="adamw", learning_rate=1e30, weight_decay=1e30)
    with pytest.raises(UserError, match=r"step \d+: the loss is .*learning_rate"):
        start(config, tmp_path / "run")
    assert ranked(open_store(str(tmp_path / "run")), "last") == []


def test_validation_share_that_leaves_nothing_is_refused(run_config, tmp_path):
    config = run_config.copy_and_resolve_references()
    config.data.validation_share = 1e-6
    with pytest.raises(UserError, match="validation_share"):
        start(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_averaged_weights_are_what_is_evaluated(run_config, tmp_path):
    config = run_config.copy_and_resolve_references()
    config.train.update(average_decay=0.9, epochs=1)
    start(config, tmp_path / "run")
    store = open_store(str(tmp_path / "run"))
    (line,) = lines(tmp_path / "run", "validation")
    objective, network, vocabulary, _ = load_trained(config, store, "last")
    reviews = load.load_training_data(config.data, vocabulary).validation
    scorer = Scorer(tf.distribute.get_strategy(), objective, network, batch_size=64)
    outputs = scorer(reviews, config.data.width_step)
    assert objective.evaluate(outputs, reviews)["loss"] == line["loss"]
    held = tensors(tmp_path / "run", 41)
    names = [name for name in held if name.startswith("average/")]
    assert names
    assert all(held[name] != held[name.replace("average/", "model/", 1)] for name in names)


def test_test_split_is_looked_at_before_the_training(run_config, tmp_path):
    config = run_config.copy_and_resolve_references()
    config.data.source = "sample"
    config.data.test_split = "tset"
    with pytest.raises(UserError, match="no split 'tset'"):
        start(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_refused_start_leaves_the_running_one_alone(run_config, workdir):
    (workdir / "config.json").unlink()
    config = run_config.copy_and_resolve_references()
    config.model.dropout = 0.6
    with pytest.raises(UserError, match=r"dropout: the run has 0.2, got 0.6"):
        start(config, workdir)
    assert len(list((workdir / "claims").iterdir())) == 1


def test_checkpoints_that_do_not_verify_go_on_resume(run_config, workdir, finished):
    for step in (80, 82):
        for path in (workdir / "checkpoints" / str(step)).glob("*.data*"):
            path.unlink()
    config = run_config.copy_and_resolve_references()
    config.checkpoint.update(every_steps=7, keep_last=1)
    start(config, workdir)
    assert tensors(workdir) == tensors(finished)


def test_weights_under_another_vocabulary_are_refused(run_config, workdir, tmp_path):
    path = workdir / "vocabulary.txt"
    path.write_text(path.read_text().replace("film\n", "zzz\n"))
    config = run_config.copy_and_resolve_references()
    config.checkpoint.init_from = str(workdir)
    with pytest.raises(UserError, match=r"vocabulary.txt is not the vocabulary"):
        start(config, tmp_path / "fresh")


def test_warm_up_longer_than_the_run_is_refused(run_config, tmp_path):
    config = run_config.copy_and_resolve_references()
    config.optimizer.warmup_steps = STEPS
    with pytest.raises(UserError, match="fewer than the 82 steps"):
        start(config, tmp_path / "run")


def test_reviews_of_one_label_are_refused(run_config, reviews, tmp_path):
    rows = [line for line in (reviews / "train.jsonl").read_text().splitlines() if ": 1}" in line]
    for name in ("train", "test"):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(rows))
    config = run_config.copy_and_resolve_references()
    config.data.source = f"files:{tmp_path}"
    with pytest.raises(UserError, match="have the label 1"):
        start(config, tmp_path / "run")


def test_metrics_come_back_from_the_checkpoint(run_config, workdir, finished):
    (workdir / "metrics.jsonl").write_text("no json\n")
    start(run_config, workdir)
    assert numbers(workdir) == numbers(finished)
