"""Run with `python -m pytest tests/input_pipeline/shards/writer_test.py`."""

import logging

import numpy as np
import pytest

from input_pipeline.encoding import Encoding
from input_pipeline.labels import SENTIMENTS
from input_pipeline.shards.format import PackedReviews
from input_pipeline.shards.reader import open_set
from input_pipeline.shards.writer import ShardWriter
from input_pipeline.vocabulary import build
from storage.leases import Worker

DTYPE = np.dtype("<u2")
ENCODING = Encoding(build({"film": 1}, 10), SENTIMENTS)


def reviews(first, count, label=lambda rank: rank % 2):
    """Returns reviews of one token each, whose id is the review's rank."""
    ranks = np.arange(first, first + count)
    labels = label(ranks).astype(np.uint8)
    return PackedReviews(ranks.astype(DTYPE), np.ones(count, np.uint32), labels)


def read_through(writer, count, batch=7, **options):
    """Adds what the writer chooses of `count` reviews, and returns the ranks that were added."""
    added = []
    for first in range(0, count, batch):
        rows = reviews(first, min(batch, count - first), **options)
        chosen = writer.choose(first, len(rows))
        writer.add(first + np.flatnonzero(chosen), rows.select(chosen))
        added += rows.tokens[chosen].tolist()
    return added


def write(store, count, shard_reviews, batch=7, **options):
    """Writes what is missing of a set of `count` reviews and returns the ranks that were added."""
    with Worker(store) as worker:
        writer = ShardWriter(store, worker, "train", count, shard_reviews, DTYPE)
        added = read_through(writer, count, batch, **options) if writer.start() else []
        assert writer.finish(ENCODING, "source")
    assert store.list("workers/") == []
    return added


def read_shards(store):
    opened = open_set(store, "train", cache=None)
    return [opened.read_shard(number) for number in range(len(opened.index.shards))]


@pytest.mark.parametrize("count", [1, 10, 11, 159, 161, 400])
@pytest.mark.parametrize("batch", [13, 1000])
def test_every_review_is_in_one_shard(store, count, batch):
    write(store, count, 10, batch)
    parts = read_shards(store)
    assert sorted(np.concatenate([part.tokens for part in parts])) == list(range(count))
    assert all(len(part) <= 10 for part in parts)
    assert len(parts) == -(-count // 10)
    for part in parts:
        assert part.labels.tolist() == (part.tokens % 2).tolist()


def test_one_shard_keeps_the_order(store):
    write(store, 100, 100)
    (part,) = read_shards(store)
    assert part.tokens.tolist() == list(range(100))


def test_shards_have_a_sample_of_their_neighbours_each(store):
    write(store, 500, 10)
    for part in read_shards(store)[:16]:
        assert part.tokens.max() < 160
        assert np.unique(np.diff(part.tokens)).tolist() == [16]


def test_last_shards_share_the_rest(store):
    write(store, 165, 10)
    assert [len(part) for part in read_shards(store)] == [10] * 16 + [5]
    assert [len(part) for part in read_shards(store)][:16] == [10] * 16


@pytest.mark.parametrize("lost", [[0], [5], [16], [17], [0, 16, 30], list(range(32))])
def test_only_what_is_missing_is_made_again(store, lost):
    write(store, 320, 10)
    names = store.list("train/")
    index = store.read("train/index.json")
    for number in lost:
        store.delete(names[number])
    store.delete("train/index.json")
    added = write(store, 320, 10)
    assert store.list("train/") == names
    assert store.read("train/index.json") == index
    expected = [
        range(number // 16 * 160 + number % 16, number // 16 * 160 + 160, 16) for number in lost
    ]
    assert sorted(added) == sorted(rank for ranks in expected for rank in ranks)


def test_finished_set_lacks_nothing(store):
    write(store, 320, 10)
    assert write(store, 320, 10) == []


def test_set_with_shards_missing_is_not_finished(store):
    with Worker(store) as worker:
        writer = ShardWriter(store, worker, "train", 320, 10, DTYPE)
        assert writer.start()
        read_through(writer, 200)
        assert writer.written == 16
        assert writer.finish(ENCODING, "source") is None
    assert not store.exists("train/index.json")


def test_two_workers_make_half_of_each_group(store):
    write(store, 400, 10)
    expected = {name: store.read(name) for name in store.list()}
    for name in expected:
        store.delete(name)
    with Worker(store) as one, Worker(store) as other:
        writers = [ShardWriter(store, worker, "train", 400, 10, DTYPE) for worker in (one, other)]
        assert all(writer.start() for writer in writers)
        added = [read_through(writer, 400) for writer in writers]
        assert [writer.written for writer in writers] == [20, 20]
        assert sorted(added[0] + added[1]) == [*range(400)]
        assert not writers[0].start()
        assert all(writer.finish(ENCODING, "source") for writer in writers)
    assert {name: store.read(name) for name in store.list()} == expected


def test_what_a_worker_leaves_is_made_by_the_other(store):
    with Worker(store) as one:
        writer = ShardWriter(store, one, "train", 400, 10, DTYPE)
        with Worker(store) as other:
            left = ShardWriter(store, other, "train", 400, 10, DTYPE)
            assert left.start()
            read_through(left, 300)
            assert writer.start()
            read_through(writer, 400)
            assert writer.finish(ENCODING, "source") is None
        while writer.start():
            read_through(writer, 400)
        assert left.written + writer.written == 40
        assert writer.finish(ENCODING, "source")


def test_sorted_source_gets_a_warning(store, caplog):
    with caplog.at_level(logging.WARNING):
        write(store, 64_000, 2000, batch=1000, label=lambda ranks: ranks < 32_000)
    assert "the source is sorted" in caplog.text


@pytest.mark.parametrize("count", [3, 300, 32_000])
def test_source_sorted_within_a_group_gets_no_warning(store, caplog, count):
    with caplog.at_level(logging.WARNING):
        write(store, count, 2000, batch=1000, label=lambda ranks: ranks < count // 2)
    assert not caplog.text
