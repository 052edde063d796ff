"""Run with `python -m pytest tests/input_pipeline/shards/counting_test.py`."""

import numpy as np
import pytest
import tensorflow as tf

from input_pipeline import streaming
from input_pipeline.shards import counting
from input_pipeline.shards.counting import TokenCounts
from input_pipeline.text import WORDS
from storage.leases import Worker
from tests.input_pipeline.sources.reading import open_source

CHOSEN = np.arange(700) % 7 != 0


@pytest.fixture(scope="module")
def source(reviews):
    return open_source(f"files:{reviews}")


@pytest.fixture(autouse=True, params=[90, 700, 5000])
def part_reviews(request, monkeypatch):
    monkeypatch.setattr(counting, "_SMALLEST_PART", request.param)
    return request.param


@pytest.fixture(scope="module")
def expected(source):
    texts = [text for texts, _ in source.batches("train") for text in texts.numpy()]
    chosen = [(0, tf.constant(np.array(texts)[CHOSEN]))]
    ((_, counts),) = streaming.count_tokens_by_part(chosen, WORDS)
    return counts


def token_counts(store, worker, source, is_needed=lambda: True):
    return TokenCounts(store, worker, source, "train", CHOSEN, WORDS, is_needed)


def test_parts_add_up(store, source, expected):
    with Worker(store) as worker:
        counts = token_counts(store, worker, source)
        assert not counts.is_done()
        assert counts.run()
        assert counts.is_done()
        assert not counts.run()
        assert counts.total() == expected


def test_part_that_another_worker_holds_is_left_to_it(store, source, expected, part_reviews):
    parts = -(-700 // part_reviews)
    with Worker(store) as worker:
        counts = token_counts(store, worker, source)
        with Worker(store) as other:
            assert other.take([f"tokens-{parts - 1:06}"], 1, done=lambda: ())
            assert counts.run() == (parts > 1)
            assert not counts.is_done()
        assert counts.run()
        assert counts.total() == expected


def test_nothing_is_counted_once_there_is_a_vocabulary(store, source):
    with Worker(store) as worker:
        counts = token_counts(store, worker, source, is_needed=lambda: False)
        assert counts.is_done()
        assert not counts.run()
    assert store.list() == []
