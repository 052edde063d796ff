"""Run with `python -m pytest tests/input_pipeline/shards_test.py`."""

import dataclasses
import json

import numpy as np
import pytest

from input_pipeline.shards import format as shards
from input_pipeline.shards.format import Index, Reviews
from storage.errors import Corrupt, UserError
from storage.store import open_store
from tests.fakes.gcs_server import Fault

TOKENS = {"two bytes": np.dtype("<u2"), "four bytes": np.dtype("<i4")}


def made(number=0, reviews=50, token=TOKENS["two bytes"]):
    """Reviews of 1 to 23 words, which a number decides."""
    lengths = ((np.arange(reviews) * 7 + number) % 23 + 1).astype(np.uint32)
    words = (np.arange(lengths.sum()) * 31 + number) % 60_000
    return Reviews(words.astype(token), lengths, (np.arange(reviews) % 3 == 0).astype(np.uint8))


def put(store, parts, split="train", token=TOKENS["two bytes"]):
    """A set of these parts, written without the writer."""
    written = [shards.encode(part, number, token) for number, part in enumerate(parts)]
    for shard, data in written:
        store.write(f"{split}/{shard.name}", data)
    index = Index(token, "words", "source", tuple(shard for shard, _ in written))
    store.write(f"{split}/{shards.INDEX}", index.to_bytes())
    return index


def assert_same(got, expected):
    for field in dataclasses.fields(Reviews):
        one, other = getattr(got, field.name), getattr(expected, field.name)
        np.testing.assert_array_equal(one, other, err_msg=field.name)
        assert one.dtype == other.dtype


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS)
@pytest.mark.parametrize("reviews", [1, 2, 51])
def test_reviews_come_out_as_they_went_in(token, reviews):
    before = made(reviews=reviews, token=token)
    shard, data = shards.encode(before, 3, token)
    assert_same(shards.decode(shard, data, token), before)
    assert (shard.number, shard.size(token)) == (3, len(data))


def test_name_tells_all_that_is_known_of_a_shard():
    shard, _ = shards.encode(made(), 7, TOKENS["two bytes"])
    assert shards.parse_name(shard.name) == shard
    assert shard.name.startswith("000007-50-17-")


@pytest.mark.parametrize("name", ["index.json", "", "000000-1-2-3-4-9a8b7c6", "x-1-2-3-4-9a8b7c6d"])
def test_other_names_are_no_shards(name):
    assert shards.parse_name(name) is None


@pytest.mark.parametrize(("words", "size"), [(3, 2), (2**16, 2), (2**16 + 1, 4), (10**6, 4)])
def test_ids_take_as_little_as_they_can(words, size):
    token = shards.token_type(words)
    assert token.itemsize == size
    assert np.array(words - 1).astype(token) == words - 1


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS)
@pytest.mark.parametrize("keep", ["head", "tail", "head_tail"])
@pytest.mark.parametrize("max_tokens", [1, 8, 23, 100])
def test_shortened_as_examples_are(monkeypatch, token, keep, max_tokens):
    monkeypatch.setattr(shards, "_SHORTENED_TOGETHER", 16)
    before = made(token=token)
    got = before.shortened(max_tokens, keep)
    expected = before.examples().shortened(max_tokens, keep)
    assert got.examples().tokens.to_list() == expected.tokens.to_list()
    assert got.labels.tolist() == expected.labels.tolist()
    assert (got.tokens.dtype, got.lengths.dtype) == (token, np.uint32)


def test_set_gives_its_shards_and_their_whole(store):
    parts = [made(number, reviews) for number, reviews in enumerate([50, 40, 1])]
    put(store, parts)
    opened = shards.open_set(store, "train", cache=None)
    assert len(opened) == 91
    assert opened.index.reviews == (50, 40, 1)
    for number, part in enumerate(parts):
        assert_same(opened.block(number), part)
    whole = shards.joined(parts).examples()
    assert opened.examples().tokens.to_list() == whole.tokens.to_list()
    assert opened.examples().labels.tolist() == whole.labels.tolist()


def test_index_comes_out_as_it_went_in(tmp_path):
    index = put(open_store(str(tmp_path)), [made(0), made(1)])
    read = shards.index_from_bytes(index.to_bytes(), "index.json")
    assert read == index
    content = json.loads(index.to_bytes())
    assert (content["reviews"], content["longest"]) == (100, 23)
    assert content["bytes"] == sum(shard["size"] for shard in content["shards"])


def test_digest_is_of_the_data_alone(tmp_path):
    one = put(open_store(str(tmp_path / "a")), [made(0), made(1)])
    assert put(open_store(str(tmp_path / "b")), [made(0), made(1)]).digest == one.digest
    assert dataclasses.replace(one, source="elsewhere").digest == one.digest
    assert dataclasses.replace(one, vocabulary="others").digest != one.digest
    assert put(open_store(str(tmp_path / "c")), [made(0), made(2)]).digest != one.digest


BROKEN = {
    "no JSON": lambda content: b"\xff{",
    "a list": lambda content: b"[]",
    "format": lambda content: json.dumps({**content, "format": 2}),
    "token": lambda content: json.dumps({**content, "token": "<f8"}),
    "no shards": lambda content: json.dumps({**content, "shards": []}),
    "a shard less": lambda content: json.dumps({**content, "shards": content["shards"][1:]}),
    "a name": lambda content: json.dumps({**content, "shards": [{"name": "x"}]}),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_index_that_is_none_is_named(tmp_path, broken):
    store = open_store(str(tmp_path))
    content = json.loads(put(store, [made(0), made(1)]).to_bytes())
    data = broken(content)
    store.write("train/index.json", data if isinstance(data, bytes) else data.encode())
    with pytest.raises(UserError, match=r"^config\.data\.source: .*train/index\.json is no index"):
        shards.open_set(store, "train", cache=None)


def test_set_without_an_index_is_none(store):
    index = put(store, [made()])
    store.delete("train/index.json")
    assert store.list("train/") == [f"train/{index.shards[0].name}"]
    with pytest.raises(UserError, match=r"^config\.data\.source: .*--mode=prepare --workdir="):
        shards.open_set(store, "train", cache=None)


@pytest.mark.parametrize("damage", [lambda d: d[:-1], lambda d: d[:9] + b"?" + d[10:]])
def test_damaged_shard_is_refused(store, damage):
    name = f"train/{put(store, [made(0), made(1)]).shards[1].name}"
    store.write(name, damage(store.read(name)))
    opened = shards.open_set(store, "train", cache=None)
    assert_same(opened.block(0), made(0))
    with pytest.raises(Corrupt, match=r"^config\.data\.source: .*is damaged; delete it and"):
        opened.block(1)


def test_missing_shard_is_named(store):
    store.delete(f"train/{put(store, [made()]).shards[0].name}")
    with pytest.raises(UserError, match=r"^config\.data\.source: .*000000-50-.* is missing"):
        shards.open_set(store, "train", cache=None).block(0)


@pytest.mark.parametrize("kind", ["429", "503", "reset", "truncate", "drop", "corrupt"])
def test_passing_fault_changes_nothing(cloud, tmp_path, kind):
    store = open_store(f"gs://bucket/{tmp_path.name}/set", retry_seconds=5.0)
    put(store, [made()])
    opened = shards.open_set(store, "train", cache=None)
    fault = cloud.inject(Fault(kind, operation="download", name="000000-"))
    assert_same(opened.block(0), made())
    assert fault.hits
    cloud.clear()
