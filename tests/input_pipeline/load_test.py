"""Run with `python -m pytest tests/input_pipeline/load_test.py`."""

import json

import numpy as np
import pytest

from input_pipeline import load
from input_pipeline import vocabulary as vocabularies
from input_pipeline.encoding import Encoding, write_encoding
from input_pipeline.labels import SENTIMENTS, Labels
from input_pipeline.training_set import InMemory, Sharded
from storage.errors import UserError
from storage.store import open_store
from tests.input_pipeline.shards.sets import make_reviews, write_set

SIZES = {"train": 50, "validation": 10, "test": 20}
ENCODING = Encoding(vocabularies.build({"film": 2, "good": 1}, size=10), SENTIMENTS)
DIGEST = ENCODING.vocabulary.digest


@pytest.fixture
def prepared(config, tmp_path):
    """The store of prepared sets that `config` names by a path relative to `data.dir`."""
    store = open_store(str(tmp_path / "sets"))
    write_encoding(store, ENCODING)
    for number, (split, size) in enumerate(SIZES.items()):
        write_set(store, [make_reviews(number, size)], split, vocabulary=DIGEST)
    config.data.source, config.data.dir = "shards:sets", str(tmp_path)
    return store


def load_all(config, **options):
    return load.load_training_data(config.data, load.make_encoding(config.data), **options)


def files_config(config, folder, labels):
    """Returns the config with 50 training and test reviews that have these labels in turn."""
    rows = [{"text": f"film {i}", "label": labels[i % len(labels)]} for i in range(50)]
    for split in ("train", "test"):
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    config.data.source = f"files:{folder}"
    return config


def test_texts_give_three_parts(config, tmp_path):
    config.data.max_tokens = 1
    data = load_all(files_config(config, tmp_path, [0, 1]))
    assert isinstance(data.train, InMemory)
    assert (len(data.train), len(data.validation), len(data.test)) == (46, 4, 50)
    assert data.validation.lengths.max() == 1
    assert data.test.lengths.max() == 2


@pytest.mark.parametrize("share", [0.0001, 0.9999])
def test_validation_share_that_leaves_none_is_refused(config, tmp_path, share):
    config.data.validation_share = share
    with pytest.raises(UserError, match=r"^config\.data\.validation_share: got .* of 50 reviews"):
        load_all(files_config(config, tmp_path, [0, 1]))


def test_reviews_of_one_label_are_refused(config, tmp_path):
    with pytest.raises(UserError, match="all training reviews have the label 'positive'"):
        load_all(files_config(config, tmp_path, [1]))


def test_batch_of_more_reviews_without_labels_than_there_are_is_refused(config, tmp_path):
    files_config(config, tmp_path, [0, 1])
    (tmp_path / "more.csv").write_text("text\none film\nanother film\n")
    config.data.update(unlabelled_split="more", unlabelled_batch_size=2)
    load_all(config)
    config.data.unlabelled_batch_size = 3
    with pytest.raises(UserError, match=r"unlabelled_batch_size: got 3, accepted are up to 2, the"):
        load_all(config)


def test_shards_give_three_parts(config, prepared):
    data = load_all(config)
    assert isinstance(data.train, Sharded)
    assert (len(data.train), len(data.validation), len(data.test)) == tuple(SIZES.values())
    assert data.validation.tokens.to_list() == make_reviews(1, 10).examples().tokens.to_list()


def test_shards_in_memory_give_the_same_batches(config, prepared):
    epochs = [load_all(config, in_memory=flag).train.epoch(8, 4, 0, 0) for flag in (False, True)]
    for got, expected in zip(*(epoch.batches(1) for epoch in epochs), strict=True):
        np.testing.assert_array_equal(got.tokens, expected.tokens)


def test_encoding_of_shards_is_the_one_beside_them(config, prepared):
    assert load.make_encoding(config.data) == ENCODING
    config.data.positive_label = "negative"
    with pytest.raises(UserError, match="'negative', but the labels of the prepared shards are"):
        load.make_encoding(config.data)


def test_shards_without_a_vocabulary_are_refused(config, prepared):
    prepared.delete("vocabulary.txt")
    with pytest.raises(UserError, match=r"sets/vocabulary\.txt is missing; .*--mode=prepare"):
        load.make_encoding(config.data)


@pytest.mark.parametrize(
    "other",
    [
        ENCODING._replace(vocabulary=vocabularies.build({"film": 1}, size=10)),
        ENCODING._replace(labels=Labels(("positive", "negative"))),
    ],
    ids=["vocabulary", "labels"],
)
def test_shards_of_another_encoding_are_refused(config, prepared, other):
    with pytest.raises(
        UserError, match=r"sets/test was prepared with another vocabulary\.txt or labels"
    ):
        load.load_split(config.data, "test", other)


def test_shards_hold_no_texts(config, prepared):
    with pytest.raises(UserError, match=r"^config\.data\.source: got 'shards:sets'.* accepted "):
        load.open_reviews(config.data).texts()


@pytest.mark.parametrize("cache_dir", ["", "cache"])
def test_shards_of_a_bucket_are_cached_if_asked_for(config, cloud, tmp_path, cache_dir):
    url = f"gs://bucket/{tmp_path.name}/sets"
    write_set(open_store(url), [make_reviews(2, 20)], "test", vocabulary=DIGEST)
    config.data.source = f"shards:{url}"
    config.data.cache_dir = str(tmp_path / cache_dir) if cache_dir else ""
    assert len(load.load_split(config.data, "test", ENCODING)) == 20
    assert len(list(tmp_path.rglob("shards/*"))) == bool(cache_dir)
