"""Mode `train_and_evaluate`: what a run leaves and prints, and what it refuses."""

import re
import shutil
import sys

import numpy as np
import pytest
import tensorflow as tf

from input_pipeline import load
from storage import claims
from storage.errors import Superseded, UserError
from storage.store import open_store
from tests.trainer.modes.runs import STEPS, lines, numbers, start, tensors
from trainer.learning.scorer import Scorer
from trainer.pages import report
from trainer.run.checkpoints import ranked
from trainer.run.trained_network import load_trained


def test_finished_run_has_the_documented_files_and_lines(finished):
    names = {path.name for path in finished.iterdir() if not path.name.startswith(".")}
    assert names == {
        *("config.json", "vocabulary.txt", "labels.txt", "metrics.jsonl", "tensorboard"),
        *("checkpoints", "claims"),
    }
    assert [line["step"] for line in lines(finished, "train")] == list(range(10, 82, 10))
    assert [line["step"] for line in lines(finished, "validation", "epoch")] == [41, 41, 82, 82]
    assert [line["step"] for line in lines(finished, "test")] == [STEPS]
    unique = {(line["kind"], line["step"]) for line in lines(finished)}
    assert len(unique) == len(lines(finished))
    assert [m.step for m in ranked(open_store(str(finished)), "last")][:3] == [82, 80, 60]


def test_epoch_line_divides_the_time_by_cause(finished):
    for line in lines(finished, "epoch"):
        assert 0 < line["padding"] < 0.5
        assert line["goodput"] == line["time"]["training"]
        assert sum(line["time"].values()) == pytest.approx(1.0)
        assert {"start", "compile", "input wait", "evaluation"} <= line["time"].keys()


def test_terminal_shows_the_documented_lines(run_config, workdir, capsys):
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
    tested = rf"Checkpoint: step \d+, validation accuracy {number}"
    assert sum(bool(re.fullmatch(tested, line)) for line in output) == 1
    assert output[-1] == f"  python -m trainer --workdir={workdir} --mode=report"


def test_start_of_a_finished_run_only_tests(run_config, workdir, finished, capsys):
    start(run_config, workdir)
    assert "Epoch:" not in capsys.readouterr().out
    assert numbers(workdir) == numbers(finished)


def with_report(config):
    changed = config.copy_and_resolve_references()
    changed.evaluation.report = True
    return changed


def test_run_killed_before_its_report_is_written_has_one_after_the_next_start(
    run_config, workdir, finished, monkeypatch, capsys
):
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(report, "page", lambda record: sys.exit("killed"))
        start(with_report(run_config), workdir)
    assert (workdir / "test_results.npz").exists()
    assert not (workdir / "report.html").exists()
    start(with_report(run_config), workdir)
    assert "The most confident mistakes" in (workdir / "report.html").read_text()
    assert f"Report: {workdir}/report.html\n" in capsys.readouterr().out
    assert numbers(workdir) == numbers(finished)


def test_superseded_start_writes_no_report(run_config, workdir, monkeypatch):
    def supersede(record):
        claims.take(open_store(str(workdir)))
        return "the page of the older start"

    monkeypatch.setattr(report, "page", supersede)
    with pytest.raises(Superseded):
        start(with_report(run_config), workdir)
    assert not (workdir / "report.html").exists()


def test_new_run_starts_from_the_weights_of_another(run_config, finished, tmp_path, capsys):
    config = run_config.copy_and_resolve_references()
    config.checkpoint.init_from = str(finished)
    config.train.epochs = 1
    config.optimizer.learning_rate = 1e-9
    start(config, tmp_path / "new")
    assert f"Starting from all weights of {finished}" in capsys.readouterr().out
    (best,) = ranked(open_store(str(finished)), "best")[:1]
    got = tensors(tmp_path / "new", 41)
    name = next(n for n in got if n.startswith("model/embedding"))
    expected = np.frombuffer(tensors(finished, best.step)[name], np.float32)
    np.testing.assert_allclose(np.frombuffer(got[name], np.float32), expected, atol=1e-5)
    assert (tmp_path / "new/vocabulary.txt").read_bytes() == (
        finished / "vocabulary.txt"
    ).read_bytes()


def test_smaller_vocabulary_than_that_of_the_weights_is_refused(run_config, finished, tmp_path):
    config = run_config.copy_and_resolve_references()
    config.checkpoint.init_from = str(finished)
    config.data.vocabulary_size = 3
    with pytest.raises(UserError, match=r"data\.vocabulary_size: got 3, but the run in config\."):
        start(config, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("field", ["checkpoint.init_from", "model.vectors"])
def test_run_can_not_be_given_another_start(run_config, finished, field):
    section, name = field.split(".")
    config = run_config.copy_and_resolve_references()
    config[section][name] = str(finished)
    before = (finished / "config.json").read_bytes()
    with pytest.raises(UserError, match=rf"^config\.{section}\.{name}: the run has '', got "):
        start(config, finished)
    assert (finished / "config.json").read_bytes() == before


def test_weights_of_another_network_are_refused(run_config, finished, tmp_path):
    config = run_config.copy_and_resolve_references()
    config.checkpoint.init_from = str(finished)
    config.model.layer_sizes = (16,)
    with pytest.raises(UserError, match=r"layer_sizes: got \(16,\)"):
        start(config, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_loss_that_is_not_finite_stops_the_run_and_names_the_step(run_config, tmp_path):
    config = run_config.copy_and_resolve_references()
    config.optimizer.update(name="adamw", learning_rate=1e30, weight_decay=1e30)
    with pytest.raises(UserError, match=r"step \d+: the loss is .*learning_rate"):
        start(config, tmp_path / "run")
    assert ranked(open_store(str(tmp_path / "run")), "last") == []


@pytest.mark.slow
def test_batch_that_does_not_fit_in_memory_is_one_line(run_config, tmp_path):
    """Its embeddings are more bytes than a process can address; TensorFlow tries for a while."""
    config = run_config.copy_and_resolve_references()
    config.data.update(max_tokens=40, width_step=40, vocabulary_size=3)
    config.model.update(embedding_size=10**6, layer_sizes=(1,))
    config.train.batch_size = 10**6
    with pytest.raises(UserError, match=r"^config\.train\.batch_size: got 1000000, .* memory"):
        start(config, tmp_path / "run")
    assert ranked(open_store(str(tmp_path / "run")), "last") == []


def test_loss_that_is_not_finite_may_come_of_a_factor_of_a_term(run_config, tmp_path):
    config = run_config.copy_and_resolve_references()
    config.objective.terms.adversarial = 1e30
    with pytest.raises(UserError, match=r"rate \(.*\), or the factors in config\.objective\.terms"):
        start(config, tmp_path / "run")


def test_validation_share_that_leaves_a_set_empty_is_refused(run_config, tmp_path):
    config = run_config.copy_and_resolve_references()
    config.data.validation_share = 1e-6
    with pytest.raises(UserError, match="validation_share"):
        start(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_evaluation_uses_the_averaged_weights(run_config, tmp_path):
    config = run_config.copy_and_resolve_references()
    config.train.update(average_decay=0.9, epochs=1)
    start(config, tmp_path / "run")
    store = open_store(str(tmp_path / "run"))
    (line,) = lines(tmp_path / "run", "validation")
    objective, network, vocabulary, _ = load_trained(config, store, "last")
    reviews = load.load_training_data(config.data, vocabulary).validation
    scorer = Scorer(tf.distribute.get_strategy(), objective, network, config)
    outputs = scorer(reviews, config.data.width_step)
    assert objective.evaluate(outputs, reviews)["loss"] == line["loss"]
    saved = tensors(tmp_path / "run", 41)
    names = [name for name in saved if name.startswith("average/")]
    assert names
    assert all(saved[name] != saved[name.replace("average/", "model/", 1)] for name in names)


def test_unknown_test_split_is_refused_before_the_training(run_config, tmp_path):
    config = run_config.copy_and_resolve_references()
    config.data.source = "sample"
    config.data.test_split = "tset"
    with pytest.raises(UserError, match="no split 'tset'"):
        start(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_weights_with_a_changed_vocabulary_are_refused(run_config, workdir, tmp_path):
    path = workdir / "vocabulary.txt"
    path.write_text(path.read_text().replace("film\n", "zzz\n"))
    config = run_config.copy_and_resolve_references()
    config.checkpoint.init_from = str(workdir)
    with pytest.raises(
        UserError, match=r"^config\.checkpoint\.init_from: .*vocabulary.txt is not the file"
    ):
        start(config, tmp_path / "new")


def test_folder_to_start_from_that_holds_no_run_is_blamed_itself(run_config, workdir, tmp_path):
    (workdir / "config.json").unlink()  # as in a folder of prepared shards
    config = run_config.copy_and_resolve_references()
    config.checkpoint.init_from = str(workdir)
    with pytest.raises(UserError, match=rf"^config\.checkpoint\.init_from: {workdir} holds no run"):
        start(config, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_warm_up_longer_than_the_run_is_refused(run_config, tmp_path):
    config = run_config.copy_and_resolve_references()
    config.optimizer.warmup_steps = STEPS
    with pytest.raises(UserError, match="fewer than the 82 steps"):
        start(config, tmp_path / "run")


def test_reviews_with_a_single_label_are_refused(run_config, reviews, tmp_path):
    rows = [line for line in (reviews / "train.jsonl").read_text().splitlines() if ": 1}" in line]
    for name in ("train", "test"):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(rows))
    config = run_config.copy_and_resolve_references()
    config.data.source = f"files:{tmp_path}"
    with pytest.raises(UserError, match="all training reviews have the label 'positive'"):
        start(config, tmp_path / "run")
