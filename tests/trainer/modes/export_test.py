"""Mode `export`: a SavedModel that programs without longhaul can use."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from configs.schema.stored import stored_config
from storage.errors import UserError
from storage.store import open_store
from tests.trainer.model.cudnn import list_a_gpu
from trainer.modes.export import export
from trainer.run.trained_network import load_predictor

TEXTS = ["A dull film.", "the film , the book", "", "zzz", "a\x00film", "café ✨", "word " * 900]
# Run where no module of longhaul can be imported.
USE = """
import json, sys
import tensorflow as tf
classify = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
texts = json.load(sys.stdin)
outputs = classify(text=tf.constant(texts, tf.string))
lists = {name: value.numpy().tolist() for name, value in outputs.items()}
json.dump(lists, sys.stdout, default=bytes.decode)
assert not [name for name in sys.modules if name.partition(".")[0] in ("trainer", "input_pipeline")]
"""


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    """An export of the finished run, which tests must not change."""
    folder = tmp_path_factory.mktemp("export") / "model"
    store = open_store(str(finished))
    export(stored_config(store), store, "best", open_store(str(folder)))
    return folder


def used(folder, texts):
    done = subprocess.run(
        [sys.executable, "-I", "-c", USE, str(folder)],
        input=json.dumps(texts), cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_program_with_tensorflow_alone_gets_what_the_predictor_says(exported, finished):
    store = open_store(str(finished))
    predictor, _ = load_predictor(stored_config(store), store, "best", "predict")
    expected = predictor(TEXTS).numpy()
    outputs = used(exported, TEXTS)
    for row, probabilities in zip(outputs["probabilities"], expected, strict=True):
        assert row == pytest.approx(probabilities.tolist(), abs=1e-6)
    names = ["negative", "positive"]
    assert outputs["labels"] == [names] * len(TEXTS)
    assert outputs["label"] == [names[number] for number in expected.argmax(axis=1)]
    assert outputs["probability"] == pytest.approx(expected.max(axis=1).tolist(), abs=1e-6)


def test_export_made_beside_a_gpu_runs_without(finished, tmp_path, monkeypatch):
    store = open_store(str(finished))
    with monkeypatch.context() as patch:
        list_a_gpu(patch)
        export(stored_config(store), store, "best", open_store(str(tmp_path / "model")))
    assert len(used(tmp_path / "model", TEXTS)["label"]) == len(TEXTS)


def test_no_text_is_a_batch_too(exported):
    outputs = used(exported, [])
    assert outputs == {"label": [], "labels": [], "probabilities": [], "probability": []}


def test_saved_model_cli_runs_it(exported):
    command = [
        str(Path(sys.executable).with_name("saved_model_cli")),
        "run",
        "--dir",
        str(exported),
    ]
    command += ["--tag_set=serve", "--signature_def=serving_default"]
    command += ["--input_exprs=text=['A dull film.', 'A fine film.']"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Result for output key probabilities:" in done.stdout


def test_card_says_what_it_is(exported):
    card = (exported / "model_card.md").read_text()
    assert "the labels `negative`, `positive`" in card
    assert "| accuracy | 0." in card
    assert '"vocabulary_size"' in card


def test_graph_is_written_after_all_that_it_needs(workdir, monkeypatch):
    store, destination = open_store(str(workdir)), open_store(str(workdir / "export"))
    uploaded = []
    monkeypatch.setattr(destination, "upload", lambda path, name, crc32c: uploaded.append(name))
    export(stored_config(store), store, "best", destination)
    assert uploaded[-1] == "saved_model.pb"
    assert "variables/variables.index" in uploaded[:-1]
    assert destination.list() == ["model_card.md"]


def test_export_is_replaced_and_anything_else_is_not(workdir, cloud, tmp_path):
    store = open_store(str(workdir))
    url = f"gs://bucket/{tmp_path.name}/model"
    for checkpoint in ("60", "last"):
        export(stored_config(store), store, checkpoint, open_store(url))
        assert "- Checkpoint: step" in open_store(url).read("model_card.md").decode()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"--to: .*mine holds 'notes.txt' and no export; give an"):
        export(stored_config(store), store, "best", open_store(str(tmp_path / "mine")))
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_command_writes_into_the_workdir(workdir):
    command = [sys.executable, "-m", "trainer", "--mode=export", f"--workdir={workdir}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Exported step ")
    assert (workdir / "export" / "saved_model.pb").is_file()
