"""Run with `python -m pytest tests/input_pipeline/shards/reader_test.py`."""

import pytest

from input_pipeline.shards.format import concatenate
from input_pipeline.shards.reader import open_set
from storage.errors import Corrupt, UserError
from storage.store import open_store
from tests.fakes.gcs_faults import Fault
from tests.input_pipeline.shards.sets import assert_same_reviews, make_reviews, write_set


def test_set_gives_one_shard_or_all_reviews(store):
    parts = [make_reviews(number, reviews) for number, reviews in enumerate([50, 40, 1])]
    write_set(store, parts)
    opened = open_set(store, "train", cache=None)
    assert len(opened) == 91
    assert opened.index.reviews_per_shard == (50, 40, 1)
    for number, part in enumerate(parts):
        assert_same_reviews(opened.read_shard(number), part)
    whole = concatenate(parts).examples()
    assert opened.examples().tokens.to_list() == whole.tokens.to_list()
    assert opened.examples().labels.tolist() == whole.labels.tolist()


def test_set_without_an_index_is_refused(store):
    index = write_set(store, [make_reviews()])
    store.delete("train/index.json")
    assert store.list("train/") == [f"train/{index.shards[0].name}"]
    with pytest.raises(UserError, match=r"^config\.data\.source: .*--mode=prepare --workdir="):
        open_set(store, "train", cache=None)


@pytest.mark.parametrize("damage", [lambda d: d[:-1], lambda d: d[:9] + b"?" + d[10:]])
def test_damaged_shard_is_refused(store, damage):
    name = f"train/{write_set(store, [make_reviews(0), make_reviews(1)]).shards[1].name}"
    store.write(name, damage(store.read(name)))
    opened = open_set(store, "train", cache=None)
    assert_same_reviews(opened.read_shard(0), make_reviews(0))
    with pytest.raises(Corrupt, match=r"^config\.data\.source: .*is damaged; delete it and"):
        opened.read_shard(1)


def test_missing_shard_is_named(store):
    store.delete(f"train/{write_set(store, [make_reviews()]).shards[0].name}")
    with pytest.raises(UserError, match=r"^config\.data\.source: .*000000-50-.* is missing"):
        open_set(store, "train", cache=None).read_shard(0)


@pytest.mark.parametrize("kind", ["429", "503", "reset", "truncate", "drop", "corrupt"])
def test_passing_fault_changes_nothing(cloud, tmp_path, kind):
    store = open_store(f"gs://bucket/{tmp_path.name}/set", retry_seconds=5.0)
    write_set(store, [make_reviews()])
    opened = open_set(store, "train", cache=None)
    fault = cloud.inject(Fault(kind, operation="download", name="000000-"))
    assert_same_reviews(opened.read_shard(0), make_reviews())
    assert fault.hits
    cloud.clear()
