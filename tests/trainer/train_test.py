import json
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf

from storage.errors import UserError
from storage.store import open_store
from trainer import train
from trainer.checkpoints import ranked
from trainer.hooks import Clock

STEPS = 82


def start(config, workdir):
    train.train_and_evaluate(config, open_store(str(workdir)), Clock())


def lines(workdir, *kinds):
    parsed = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [line for line in parsed if not kinds or line["kind"] in kinds]


def numbers(workdir):
    """The metrics without what a clock has measured."""
    timed = ("reviews_per_second", "tokens_per_second", "goodput", "time")
    return [{k: v for k, v in line.items() if k not in timed} for line in lines(workdir)]


def tensors(workdir, step=STEPS):
    """All tensors of a checkpoint as bytes, by name."""
    manifest = next(m for m in ranked(open_store(str(workdir)), "last") if m.step == step)
    reader = tf.train.load_checkpoint(str(workdir / manifest.prefix))
    return {
        name: reader.get_tensor(name).tobytes()
        for name in reader.get_variable_to_dtype_map()
        if "OBJECT_GRAPH" not in name
    }


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


def test_other_reviews_are_refused(run_config, workdir, reviews, tmp_path):
    moved = shutil.copytree(reviews, tmp_path / "moved")
    config = run_config.copy_and_resolve_references()
    for words, problem in (("film", None), ("zebra", "not those")):
        text = (reviews / "train.jsonl").read_text().replace("film", words)
        (moved / "train.jsonl").write_text(text)
        # The folder may change, as it does from machine to machine; the reviews may not.
        config.data.source, config.data.dir = "files:moved", str(tmp_path)
        stored = json.loads((workdir / "config.json").read_text())
        stored["data"]["source"] = "files:moved"
        (workdir / "config.json").write_text(json.dumps(stored))
        if problem is None:
            start(config, workdir)
        else:
            with pytest.raises(UserError, match=problem):
                start(config, workdir)


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
    config.optimizer.update(learning_rate=1e38, clip_norm=0.0, schedule="constant")
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
    config.train.update(average_decay=0.999999, epochs=1)
    start(config, tmp_path / "run")
    # So slow an average stays at the initial weights, which know nothing.
    (line,) = lines(tmp_path / "run", "validation")
    assert line["loss"] == pytest.approx(np.log(2), abs=2e-3)
