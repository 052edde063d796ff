"""Reviews with three labels through training, evaluation, prediction and shards."""

import csv
import subprocess
import sys

import pytest

from storage.errors import UserError
from storage.store import open_store
from tests.conftest import small_config
from tests.trainer.modes.runs import flags_of, lines, start
from trainer.modes.evaluate import evaluate
from trainer.modes.predict import predict
from trainer.modes.prepare import prepare
from trainer.run.workdir import scoring_config

OPINIONS = {"good": "a lovely film", "bad": "a dull film", "so so": "a film of sorts"}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """A config of a run on CSV files that learns three labels by heart."""
    folder = tmp_path_factory.mktemp("reviews")
    for split in ("train", "test"):
        with (folder / f"{split}.csv").open("w", newline="") as file:
            rows = [(text, label) for label, text in OPINIONS.items()] * 40
            csv.writer(file).writerows([("opinion", "verdict"), *rows])
    config = small_config()
    config.data.update(source=f"files:{folder}", text_column="opinion", label_column="verdict")
    config.model.layer_sizes = (8,)
    config.train.update(epochs=6, batch_size=8)
    config.optimizer.learning_rate = 2e-2
    config.strategy.name = "one_device"
    return config


@pytest.fixture(scope="module")
def workdir(config, tmp_path_factory):
    """The folder of such a run on two replicas.

    In a process of its own: in this one TensorFlow may use its collectives for another number.
    """
    folder = tmp_path_factory.mktemp("labels") / "run"
    replicas = ("--config.strategy.name=mirrored", "--config.strategy.virtual_devices=2")
    command = [sys.executable, "-m", "trainer", *flags_of(config), *replicas, f"--workdir={folder}"]
    subprocess.run(command, capture_output=True, check=True)
    return folder


def test_run_keeps_the_names_and_learns_them(workdir):
    assert (workdir / "labels.txt").read_text() == "bad\ngood\nso so\n"
    (tested,) = lines(workdir, "test")
    assert tested["accuracy"] == tested["macro_f1"] == 1


def test_predictions_are_names_with_their_own_probabilities(workdir, capsys):
    store = open_store(str(workdir))
    predict(scoring_config(store, None), store, "best", list(OPINIONS.values()))
    for line, (label, text) in zip(
        capsys.readouterr().out.splitlines(), OPINIONS.items(), strict=True
    ):
        probability, name, shown = line.split("\t")
        assert (name, shown) == (label, text)
        assert float(probability) > 0.5


def test_evaluation_shows_the_confusion_matrix(workdir, config, capsys):
    store = open_store(str(workdir))
    evaluate(scoring_config(store, config), store, "best")
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["predicted:", "bad", "good", "so", "so"] in rows
    assert ["good", "0", "40", "0"] in rows


def test_run_refuses_reviews_with_other_labels(workdir, config, tmp_path):
    (tmp_path / "test.csv").write_text("opinion,verdict\na film,grand\n")
    store = open_store(str(workdir))
    given = config.copy_and_resolve_references()
    given.data.source = f"files:{tmp_path}"
    with pytest.raises(UserError, match=r"has the label 'grand', accepted are .*'bad', 'good'"):
        evaluate(scoring_config(store, given), store, "best")


@pytest.mark.slow
def test_shards_train_as_the_files_do(workdir, config, tmp_path):
    shards = open_store(str(tmp_path / "shards"))
    prepare(config, shards)
    config = config.copy_and_resolve_references()
    config.data.source = f"shards:{shards.url}"
    start(config, tmp_path / "run")
    trained, expected = (
        [line["loss"] for line in lines(folder, "validation")]
        for folder in (tmp_path / "run", workdir)
    )
    assert trained == pytest.approx(expected, rel=1e-5)
