"""Tests of how the contestants of `benchmarks.peers` choose batches."""

import numpy as np
import pytest

from benchmarks.peers import reading
from benchmarks.peers.task import (
    Reviews,
    Task,
    bucketed,
    read_task,
    shuffled,
    standard_config,
    tokens_and_padding,
)
from input_pipeline import batch_plan
from input_pipeline.load import load_training_data, make_encoding

REVIEWS = 150  # two full batches of 64, and one that is not


@pytest.fixture(scope="module")
def task():
    lengths = np.random.default_rng(0).integers(1, 100, REVIEWS)
    labels = np.arange(REVIEWS, dtype=np.int32) % 2
    reviews = Reviews(np.full(lengths.sum(), 2, np.int32), lengths, labels)
    return Task(standard_config(seed=3, epochs=2), 3, reviews, reviews)


def test_bucketed_steps_are_those_of_the_trainer(task):
    lengths = task.reviews.lengths
    epochs = [batch_plan.training_plan(lengths, 64, 16, 3, epoch) for epoch in (0, 1)]
    ids = np.concatenate([plan.ids for plan in epochs])
    widths = np.concatenate([plan.widths for plan in epochs])
    assert task.total_steps == len(ids) == 6
    for first, count in ((0, 6), (2, 3), (5, 1)):
        plan = bucketed(task, first, count)
        np.testing.assert_array_equal(plan.ids, ids[first : first + count])
        np.testing.assert_array_equal(plan.widths, widths[first : first + count])


def test_shuffled_steps_see_every_review_once_in_an_epoch(task):
    whole = shuffled(task, 0, 6)
    seen = whole.ids.ravel()
    assert sorted(seen[:REVIEWS]) == sorted(seen[REVIEWS : 2 * REVIEWS]) == [*range(REVIEWS)]
    assert list(seen[:REVIEWS]) != list(seen[REVIEWS : 2 * REVIEWS])
    np.testing.assert_array_equal(whole.widths, task.reviews.lengths[whole.ids].max(axis=1))
    np.testing.assert_array_equal(shuffled(task, 2, 3).ids, whole.ids[2:5])


def test_tokens_and_padding_leave_empty_rows_out(task):
    tokens, padding = tokens_and_padding(task, bucketed(task, 0, 3))
    slots = bucketed(task, 0, 3).widths.sum() * 64
    assert tokens == task.reviews.lengths.sum()
    assert padding == pytest.approx(1 - tokens / slots)


def test_reviews_are_read_as_they_were_stored(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))  # where reviews are cached
    path, config = tmp_path / "reviews.npz", standard_config(seed=1, epochs=5)
    reading.store_reviews("sample", path)
    task = read_task(path, seed=1, epochs=5)
    assert task.config == config
    assert task.total_steps == 5 * -(-len(task.reviews.labels) // 64)
    config.data.source = "sample"
    data = load_training_data(config.data, make_encoding(config.data))
    assert reading.to_examples(task.reviews).digest == data.train.digest
    assert reading.to_examples(task.validation).digest == data.validation.digest
