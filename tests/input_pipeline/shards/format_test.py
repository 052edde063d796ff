"""Run with `python -m pytest tests/input_pipeline/shards/format_test.py`."""

import dataclasses
import json

import numpy as np
import pytest

from input_pipeline.shards.format import decode, encode, id_dtype, index_from_bytes, parse_name
from input_pipeline.shards.reader import open_set
from storage.errors import UserError
from storage.store import open_store
from tests.input_pipeline.shards.sets import (
    DTYPES,
    SMALL,
    assert_same_reviews,
    make_reviews,
    write_set,
)


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
@pytest.mark.parametrize("reviews", [1, 2, 51])
def test_reviews_come_out_as_they_went_in(dtype, reviews):
    before = make_reviews(reviews=reviews, dtype=dtype)
    shard, data = encode(before, 3, dtype)
    assert_same_reviews(decode(shard, data, dtype), before)
    assert (shard.number, shard.size(dtype)) == (3, len(data))


def test_name_holds_all_that_is_known_of_a_shard():
    shard, _ = encode(make_reviews(), 7, SMALL)
    assert parse_name(shard.name) == shard
    assert shard.name.startswith("000007-50-17-")


@pytest.mark.parametrize("name", ["index.json", "", "000000-1-2-3-4-9a8b7c6", "x-1-2-3-4-9a8b7c6d"])
def test_other_names_are_no_shards(name):
    assert parse_name(name) is None


@pytest.mark.parametrize(
    ("vocabulary_size", "size"), [(3, 2), (2**16, 2), (2**16 + 1, 4), (10**6, 4)]
)
def test_ids_take_as_few_bytes_as_they_can(vocabulary_size, size):
    dtype = id_dtype(vocabulary_size)
    assert dtype.itemsize == size
    last = vocabulary_size - 1
    assert np.array(last).astype(dtype) == last


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
@pytest.mark.parametrize("keep", ["head", "tail", "head_tail"])
@pytest.mark.parametrize("max_tokens", [1, 8, 23, 100])
def test_shortened_as_examples_are(dtype, keep, max_tokens):
    before = make_reviews(dtype=dtype)
    got = before.shortened(max_tokens, keep)
    expected = before.examples().shortened(max_tokens, keep)
    assert got.examples().tokens.to_list() == expected.tokens.to_list()
    assert got.labels.tolist() == expected.labels.tolist()
    assert (got.tokens.dtype, got.lengths.dtype) == (dtype, np.uint32)


def test_index_comes_out_as_it_went_in(tmp_path):
    index = write_set(open_store(str(tmp_path)), [make_reviews(0), make_reviews(1)])
    read = index_from_bytes(index.to_bytes(), "index.json")
    assert read == index
    content = json.loads(index.to_bytes())
    assert (content["reviews"], content["longest"]) == (100, 23)
    assert content["bytes"] == sum(shard["size"] for shard in content["shards"])


def test_digest_depends_on_the_data_only(tmp_path):
    one = write_set(open_store(str(tmp_path / "a")), [make_reviews(0), make_reviews(1)])
    assert (
        write_set(open_store(str(tmp_path / "b")), [make_reviews(0), make_reviews(1)]).digest
        == one.digest
    )
    assert dataclasses.replace(one, source_digest="elsewhere").digest == one.digest
    assert dataclasses.replace(one, vocabulary_digest="others").digest != one.digest
    assert (
        write_set(open_store(str(tmp_path / "c")), [make_reviews(0), make_reviews(2)]).digest
        != one.digest
    )


BROKEN = {
    "no JSON": lambda content: b"\xff{",
    "a list": lambda content: b"[]",
    "format": lambda content: json.dumps({**content, "format": 3}),
    "token": lambda content: json.dumps({**content, "token": "<f8"}),
    "no shards": lambda content: json.dumps({**content, "shards": []}),
    "a shard less": lambda content: json.dumps({**content, "shards": content["shards"][1:]}),
    "a name": lambda content: json.dumps({**content, "shards": [{"name": "x"}]}),
}


def test_index_of_the_first_format_has_two_labels(tmp_path):
    index = write_set(open_store(str(tmp_path)), [make_reviews()])
    content = {**json.loads(index.to_bytes()), "format": 1}
    del content["labels"]
    assert index_from_bytes(json.dumps(content).encode(), "index.json") == index


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_broken_index_is_named(tmp_path, broken):
    store = open_store(str(tmp_path))
    content = json.loads(write_set(store, [make_reviews(0), make_reviews(1)]).to_bytes())
    data = broken(content)
    store.write("train/index.json", data if isinstance(data, bytes) else data.encode())
    with pytest.raises(
        UserError, match=r"^config\.data\.source: .*train/index\.json is not an index"
    ):
        open_set(store, "train", cache=None)
