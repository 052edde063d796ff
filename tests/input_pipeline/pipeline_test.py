"""Run with `python -m pytest tests/input_pipeline/pipeline_test.py`."""

import numpy as np
import pytest
import tensorflow as tf

from input_pipeline.batch_plan import NO_REVIEW, evaluation_plan, training_plan
from input_pipeline.examples import Examples
from input_pipeline.pipeline import Batch, batches

ROWS = [[10 * review + i + 2 for i in range(review * 7 % 19 + 1)] for review in range(21)]
LABELS = np.array([review % 3 == 0 for review in range(21)], np.int32)
BATCH = 8


@pytest.fixture(scope="module")
def examples():
    return Examples(tf.ragged.constant(ROWS, tf.int32), LABELS)


@pytest.fixture(scope="module", params=["training", "evaluation"])
def plan(request):
    """A plan of three steps, one of which has three rows without a review."""
    lengths = np.array([len(row) for row in ROWS])
    if request.param == "training":
        return training_plan(lengths, BATCH, width_step=4, seed=1, epoch=0)
    return evaluation_plan(lengths, BATCH, width_step=4)


def collected(dataset):
    return [Batch(*(part.numpy() for part in batch)) for batch in dataset]


def joined(slices):
    """Joins the slices of all replicas to one batch."""
    return Batch(*(np.concatenate(parts) for parts in zip(*slices, strict=True)))


def assert_same(got, expected):
    for name, one, other in zip(Batch._fields, got, expected, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=name)


def test_rows_are_padded_at_the_right_to_the_width_of_the_step(examples, plan):
    for step, batch in enumerate(collected(batches(examples, plan, replicas=1))):
        expected = np.zeros((BATCH, plan.widths[step]), np.int32)
        for row, review in enumerate(plan.ids[step]):
            if review != NO_REVIEW:
                expected[row, : len(ROWS[review])] = ROWS[review]
        np.testing.assert_array_equal(batch.tokens, expected)


def test_lengths_labels_and_weights_are_those_of_the_reviews(examples, plan):
    for step, batch in enumerate(collected(batches(examples, plan, replicas=1))):
        there = plan.ids[step] != NO_REVIEW
        reviews = plan.ids[step][there]
        assert batch.lengths[there].tolist() == [len(ROWS[review]) for review in reviews]
        assert batch.labels[there].tolist() == LABELS[reviews].tolist()
        assert batch.weights.tolist() == there.tolist()


def test_rows_without_a_review_weigh_nothing_and_have_length_one(examples, plan):
    whole = [joined([batch]) for batch in collected(batches(examples, plan, replicas=1))]
    empty = [batch.weights == 0 for batch in whole]
    assert sum(rows.sum() for rows in empty) == 3
    for batch, rows in zip(whole, empty, strict=True):
        assert (batch.lengths[rows] == 1).all()
        assert (batch.tokens[rows] == 0).all()


def test_types_are_those_of_the_contract(examples, plan):
    dataset = batches(examples, plan, replicas=2)
    assert [part.dtype for part in dataset.element_spec] == [
        *(tf.int32, tf.int32, tf.int32, tf.float32)
    ]
    assert dataset.element_spec.tokens.shape.as_list() == [BATCH // 2, None]
    assert dataset.element_spec.weights.shape.as_list() == [BATCH // 2]


@pytest.mark.parametrize("replicas", [2, 4, 8])
def test_slices_of_the_replicas_make_up_the_global_batch(examples, plan, replicas):
    slices = collected(batches(examples, plan, replicas))
    assert len(slices) == len(plan) * replicas
    for step, whole in enumerate(collected(batches(examples, plan, replicas=1))):
        assert_same(joined(slices[step * replicas : (step + 1) * replicas]), whole)


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("first_step", [1, 2, 3])
def test_first_step_leaves_the_tail_of_the_epoch(examples, plan, replicas, first_step):
    whole = collected(batches(examples, plan, replicas))[first_step * replicas :]
    tail = collected(batches(examples, plan, replicas, first_step))
    assert len(tail) == len(whole) == (3 - first_step) * replicas
    for got, expected in zip(tail, whole, strict=True):
        assert_same(got, expected)


def test_dataset_can_be_iterated_again(examples, plan):
    dataset = batches(examples, plan, replicas=1)
    for got, expected in zip(collected(dataset), collected(dataset), strict=True):
        assert_same(got, expected)
