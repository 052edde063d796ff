"""What is served says the same as the predictor, from a workdir and from an export of it."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf

from storage.errors import UserError
from storage.store import open_store
from tests.trainer.serving.servers import running
from trainer.modes.export import export
from trainer.run.trained_network import load_predictor
from trainer.run.workdir import scoring_config
from trainer.serving import served_model

TEXTS = ["A dull film.", "the film , the book", "", "zzz", "a\x00film", "café ✨", "word " * 900]


@pytest.fixture(scope="module")
def predictor(finished):
    store = open_store(str(finished))
    return load_predictor(scoring_config(store, None), store, "best", "predict")[0]


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    """The folder of an export of the finished run, which tests must not change."""
    store, folder = open_store(str(finished)), tmp_path_factory.mktemp("export") / "model"
    export(scoring_config(store, None), store, "60", open_store(str(folder)))
    return folder


def test_server_answers_what_the_predictor_says(model, predictor):
    expected = predictor(tf.constant(TEXTS)).numpy()
    with running(model) as server:
        rows = server.post({"instances": TEXTS}).json()["predictions"]
        probabilities = [row["probabilities"] for row in rows]
        assert np.allclose(probabilities, expected, rtol=0, atol=1e-6)
        names = ["negative", "positive"]
        assert [row["label"] for row in rows] == [names[n] for n in expected.argmax(axis=1)]


def test_concurrent_clients_get_what_the_predictor_says(model, predictor):
    texts = [f"the {'film ' * (number % 40)} was {'dull' * (number % 2)}" for number in range(96)]
    expected = predictor(tf.constant(texts)).numpy()
    with running(model, batch_size=16) as server, ThreadPoolExecutor(16) as clients:
        answers = clients.map(lambda text: server.post({"instances": [text]}).json(), texts)
        rows = [answer["predictions"][0]["probabilities"] for answer in answers]
    assert np.allclose(rows, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("cores", [1, 2, 3, 16])
def test_texts_in_parts_have_the_answers_of_each(finished, predictor, monkeypatch, cores):
    monkeypatch.setattr(served_model, "usable_cores", lambda: cores)
    store = open_store(str(finished))
    served = served_model.from_run(scoring_config(store, None), store, "best")
    texts = [f"a dull film {'word ' * (7 * number % 50)}{number}" for number in range(50)]
    expected = predictor(tf.constant(texts)).numpy()
    for count in (1, 15, 16, 50):
        found = served.predict([text.encode() for text in texts[:count]])
        np.testing.assert_allclose(found, expected[:count], rtol=0, atol=1e-6)


@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_export_answers_what_the_predictor_says(exported, finished, place, cloud, tmp_path):
    store = open_store(str(exported))
    if place == "bucket":
        bucket = open_store(f"gs://bucket/{tmp_path.name}/model")
        for name in store.list():
            bucket.write(name, store.read(name))
        store = bucket
    model = served_model.from_export(store)
    run = open_store(str(finished))
    predictor = load_predictor(scoring_config(run, None), run, "60", "predict")[0]
    texts = [text.encode() for text in TEXTS]
    assert np.allclose(model.predict(texts), predictor(tf.constant(texts)), rtol=0, atol=1e-6)
    assert (model.version, model.labels) == (60, ("negative", "positive"))
    assert model.explain is None


def test_export_without_a_card_is_version_1(exported, tmp_path):
    source, copy = open_store(str(exported)), open_store(str(tmp_path / "copy"))
    for name in source.list():
        if name != "model_card.md":
            copy.write(name, source.read(name))
    assert served_model.from_export(copy).version == 1


@pytest.mark.parametrize("damaged", ["saved_model.pb", "variables/variables.index"])
def test_export_that_cant_be_loaded_is_refused(exported, tmp_path, damaged):
    source, copy = open_store(str(exported)), open_store(str(tmp_path / "copy"))
    for name in source.list():
        copy.write(name, source.read(name) if name != damaged else b"damaged")
    with pytest.raises(UserError, match=r"--workdir: the export in .*copy can't be loaded"):
        served_model.from_export(copy)


def test_other_saved_model_is_refused(tmp_path):
    module = tf.Module()
    function = tf.function(lambda text: {"text": text}, [tf.TensorSpec([None], tf.string)])
    tf.saved_model.save(module, str(tmp_path), signatures=function)
    with pytest.raises(UserError, match="is no classifier of texts"):
        served_model.from_export(open_store(str(tmp_path)))
