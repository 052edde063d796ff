"""A run that learns a language model, and a classifier that starts from it."""

import json
import math
import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from configs.schema.stored import stored_config
from storage.errors import UserError
from storage.store import open_store
from tests.trainer.main_test import REPOSITORY, command
from tests.trainer.modes.runs import call, flags_of, lines, numbers, start, tensors
from trainer.machines.preemption import StopRequests
from trainer.modes import explain, export, predict, serve
from trainer.modes.evaluate import evaluate
from trainer.run.clock import Clock
from trainer.run.start import start as start_run
from trainer.run.trained_network import load_trained

STEPS = 41
REFUSALS = {
    "predict": (predict, {"text": ("A fine film.",)}),
    "explain": (explain, {"text": ("A fine film.",)}),
    "export": (export, {}),
    "serve": (serve, {}),
}


@pytest.fixture(scope="module")
def model_config(run_config):
    config = run_config.copy_and_resolve_references()
    config.objective.update(name="language_model", sampled_words=50, distance=5)
    config.objective.terms.distant = 2.0
    config.model.layer_sizes = (6,)
    config.train.update(slices=2, epochs=1, average_decay=0.9, histograms=False, profile_steps=())
    config.optimizer.learning_rate = 0.02
    config.evaluation.report = True
    return config


@pytest.fixture(scope="module")
def ended(model_config, tmp_path_factory):
    """The workdir of an uninterrupted run. Tests must not change it."""
    folder = tmp_path_factory.mktemp("language_model") / "run"
    start(model_config, folder)
    return folder


def test_resumed_run_on_two_replicas_has_the_same_bits(model_config, ended, tmp_path):
    workdir = shutil.copytree(ended, tmp_path / "run")
    for step in (40, STEPS):
        shutil.rmtree(workdir / "checkpoints" / str(step))
    config = model_config.copy_and_resolve_references()
    config.strategy.virtual_devices = 2
    # TensorFlow's groups of replicas mix when a process has had other ones.
    flags = (*flags_of(config), f"--workdir={workdir}")
    done = subprocess.run(
        command(*flags), cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "at step 20" in done.stdout
    assert "the output layer" in done.stdout
    assert "Test Loss: " in done.stdout
    assert f"start from this run: --config.checkpoint.init_from={workdir}\n" in done.stdout
    following = done.stdout.partition("Next:\n")[2].splitlines()
    assert [line.rpartition("=")[2] for line in following] == ["evaluate", "report"]
    assert numbers(workdir) == numbers(ended)
    assert tensors(workdir, STEPS) == tensors(ended, STEPS)


def test_words_are_predicted_better_than_by_a_guess_and_tested_again_alike(ended, capsys):
    (tested,) = lines(ended, "test")
    assert tested["perplexity"] == pytest.approx(math.exp(tested["loss"]))
    assert tested["perplexity"] < 120 < 199  # words
    store = open_store(str(ended))
    assert evaluate(stored_config(store), store, "best")["loss"] == pytest.approx(tested["loss"])
    assert f"perplexity {tested['perplexity']:.4f}" in capsys.readouterr().out


def test_report_is_of_a_language_model(ended):
    report = (ended / "report.html").read_text()
    (tested,) = lines(ended, "test")
    assert f"Test perplexity {tested['perplexity']:.3f}" in report
    assert "embedding 8, a language model" in report
    assert "evaluation.report" not in report.split("What stands out")[0]
    assert not (ended / "test_results.npz").exists()


@pytest.mark.parametrize("mode", REFUSALS)
def test_mode_for_labels_is_refused_in_a_line(ended, mode):
    module, flags = REFUSALS[mode]
    with pytest.raises(UserError) as raised:
        module.run(call(ended, **flags))
    message = str(raised.value)
    assert message.startswith(
        f"--workdir: {ended} holds a language model, which predicts no labels"
    )
    assert f"as --mode={mode} needs" in message
    assert f"--config.checkpoint.init_from={ended}" in message
    assert "\n" not in message


def test_evaluation_of_several_runs_is_refused(ended, finished):
    store, other = open_store(str(ended)), open_store(str(finished))
    with pytest.raises(
        UserError, match=rf"{ended} .* as --mode=evaluate of several workdirs needs"
    ):
        evaluate(stored_config(other), other, "best", [store])


def started_from(workdir, config, folder):
    """Returns the networks of a run that starts from the weights of another."""
    config = config.copy_and_resolve_references()
    config.checkpoint.init_from = str(workdir)
    config.train.average_decay = 0.5
    run, _ = start_run(config, open_store(str(folder)), Clock(), StopRequests())
    return run.state.model, run.state.average


def evaluated(config, workdir):
    """Returns the network that the run in a workdir evaluates."""
    return load_trained(config, open_store(str(workdir)), "best").network


def assert_same(network, other, *parts):
    for part in parts:
        layers, others = (tf.nest.flatten(getattr(each, part)) for each in (network, other))
        for a, b in zip(layers, others, strict=True):
            for one, two in zip(a.get_weights(), b.get_weights(), strict=True):
                np.testing.assert_array_equal(one, two)


ENCODER = ("embedding", "forward", "backward")


def test_classifier_starts_from_the_encoder(run_config, model_config, ended, tmp_path, capsys):
    config = run_config.copy_and_resolve_references()
    config.model.update(model_config.model)
    config.model.update(pooling="concat", wide_buckets=2**12)
    networks = started_from(ended, config, tmp_path / "new")
    assert f"Starting from the encoder of {ended}, step {STEPS}\n" in capsys.readouterr().out
    for network in networks:
        assert_same(network, evaluated(model_config, ended), *ENCODER)
        assert network.wide.ratios.numpy().any()


def test_classifier_of_other_labels_starts_from_the_encoder(
    run_config, model_config, reviews, ended, tmp_path
):
    """A language model knows the reviews' labels, but has learned nothing from them."""
    for split in ("train", "test"):
        rows = map(json.loads, (reviews / f"{split}.jsonl").read_text().splitlines())
        named = [{**row, "label": ("ham", "spam")[row["label"]]} for row in rows]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, named)))
    config = run_config.copy_and_resolve_references()
    config.model.update(model_config.model)
    config.data.update(source=f"files:{tmp_path}", positive_label="ham")
    networks = started_from(ended, config, tmp_path / "new")
    assert (tmp_path / "new/labels.txt").read_text() == "spam\nham\n"
    assert_same(networks[0], evaluated(model_config, ended), *ENCODER)


def test_language_model_starts_from_all_weights(model_config, ended, tmp_path, capsys):
    networks = started_from(ended, model_config, tmp_path / "new")
    assert f"Starting from all weights of {ended}, " in capsys.readouterr().out
    for network in networks:
        assert_same(network, evaluated(model_config, ended), *ENCODER, "projection", "output_bias")
        assert_same(network, evaluated(model_config, ended), "distant_projection", "distant_bias")


def test_language_model_without_distant_words_starts_from_the_encoder(
    model_config, ended, tmp_path, capsys
):
    config = model_config.copy_and_resolve_references()
    config.objective.terms.distant = 0.0
    for network in started_from(ended, config, tmp_path / "new"):
        assert_same(network, evaluated(model_config, ended), *ENCODER)
        assert network.distant_bias is None
    assert f"Starting from the encoder of {ended}, " in capsys.readouterr().out


def test_other_pooling_starts_from_the_encoder(run_config, finished, tmp_path, capsys):
    config = run_config.copy_and_resolve_references()
    config.model.pooling = "max"
    for network in started_from(finished, config, tmp_path / "new"):
        assert_same(network, evaluated(run_config, finished), *ENCODER)
    assert f"Starting from the encoder of {finished}, " in capsys.readouterr().out


def test_field_of_a_wide_part_that_neither_has_keeps_the_head(
    run_config, finished, tmp_path, capsys
):
    config = run_config.copy_and_resolve_references()
    config.model.wide_ngrams = 3
    started_from(finished, config, tmp_path / "new")
    assert f"Starting from all weights of {finished}, " in capsys.readouterr().out
