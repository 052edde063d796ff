"""Run with `python -m pytest tests/input_pipeline/batch_plan_test.py`."""

import hashlib
import itertools

import numpy as np
import pytest

from input_pipeline import batch_plan
from input_pipeline.batch_plan import NO_REVIEW

SIZES = [(1, 1), (1, 8), (7, 8), (8, 8), (9, 8), (64, 8), (65, 1), (997, 64), (1024, 64)]
WIDTH_STEP = 16
PLANS = {
    "training": lambda lengths, batch: batch_plan.training_plan(lengths, batch, WIDTH_STEP, 7, 3),
    "evaluation": lambda lengths, batch: batch_plan.evaluation_plan(lengths, batch, WIDTH_STEP),
}
LENGTHS = np.arange(500) * 37 % 211 + 1  # 1 to 211 tokens, the same on every machine


@pytest.fixture(params=SIZES, ids=str)
def size(request):
    return request.param


@pytest.fixture(params=PLANS)
def plan_and_lengths(request, size):
    """A plan of each kind and size, and the lengths that it was made for."""
    reviews, batch = size
    lengths = LENGTHS.repeat(3)[:reviews]
    return PLANS[request.param](lengths, batch), lengths


def training_plan(lengths=LENGTHS, batch=32, seed=0, epoch=0):
    return batch_plan.training_plan(lengths, batch, WIDTH_STEP, seed, epoch)


def digest(plan):
    rows = plan.ids.astype("<i4").tobytes() + plan.widths.astype("<i4").tobytes()
    return hashlib.sha256(rows).hexdigest()


def rows_of_lengths(plan, lengths):
    """Returns the lengths of the reviews of each step."""
    return [lengths[row[row != NO_REVIEW]] for row in plan.ids]


def test_every_review_occurs_exactly_once(plan_and_lengths):
    plan, lengths = plan_and_lengths
    assert sorted(plan.ids[plan.ids != NO_REVIEW]) == list(range(len(lengths)))


def test_at_most_one_batch_is_not_full(plan_and_lengths):
    plan, _ = plan_and_lengths
    assert sum((plan.ids == NO_REVIEW).any(axis=1)) <= 1


def test_no_batch_is_empty(plan_and_lengths):
    plan, _ = plan_and_lengths
    assert (plan.ids != NO_REVIEW).any(axis=1).all()


def test_steps_are_as_many_as_announced(plan_and_lengths, size):
    plan, _ = plan_and_lengths
    steps = batch_plan.steps_per_epoch(*size)
    assert len(plan) == steps
    assert (plan.ids.shape, plan.widths.shape) == ((steps, size[1]), (steps,))
    assert plan.ids.dtype == plan.widths.dtype == np.int32


def test_width_is_the_longest_of_a_batch_rounded_up(plan_and_lengths):
    plan, lengths = plan_and_lengths
    longest = [row.max() for row in rows_of_lengths(plan, lengths)]
    assert plan.widths.tolist() == [-(-length // WIDTH_STEP) * WIDTH_STEP for length in longest]


def test_batches_hold_neighbours_in_width(plan_and_lengths):
    plan, lengths = plan_and_lengths
    widths = [-(-row // WIDTH_STEP) for row in rows_of_lengths(plan, lengths)]
    widths.sort(key=lambda row: (row.max(), row.min()))
    for narrower, wider in itertools.pairwise(widths):
        assert narrower.max() <= wider.min()


@pytest.mark.parametrize("kind", PLANS)
def test_no_reviews_make_no_steps(kind):
    assert len(PLANS[kind](np.array([], int), 8)) == 0


@pytest.mark.parametrize("kind", PLANS)
def test_plan_is_a_function_of_its_arguments_alone(kind):
    np.random.seed(1)
    one = PLANS[kind](LENGTHS, 32)
    np.random.seed(2)
    other = PLANS[kind](LENGTHS.astype(np.int32).copy(), 32)
    assert digest(one) == digest(other)


def test_every_epoch_and_seed_has_another_order():
    plans = [training_plan(seed=seed, epoch=epoch) for seed in range(3) for epoch in range(3)]
    assert len({digest(plan) for plan in plans}) == 9


def test_every_epoch_puts_other_reviews_together():
    one, other = (
        {frozenset(row) for row in training_plan(epoch=epoch).ids.tolist()} for epoch in (0, 1)
    )
    assert len(one & other) <= 1


def test_training_has_the_widths_in_random_order():
    widths = training_plan(batch=8).widths.tolist()
    assert widths not in (sorted(widths), sorted(widths, reverse=True))


def test_evaluation_goes_from_the_shortest_to_the_longest():
    plan = batch_plan.evaluation_plan(LENGTHS, 32, WIDTH_STEP)
    ids = plan.ids[plan.ids != NO_REVIEW]
    assert ids.tolist() == sorted(range(len(LENGTHS)), key=lambda review: LENGTHS[review])


def test_evaluation_leaves_the_gap_at_the_end():
    plan = batch_plan.evaluation_plan(LENGTHS, 32, WIDTH_STEP)
    assert np.flatnonzero(plan.ids.ravel() == NO_REVIEW).tolist() == list(range(500, 512))


def test_order_has_not_changed():
    # A run that is resumed with another version must keep its order of batches.
    plan = training_plan(seed=3, epoch=2)
    assert digest(plan) == "decaffd853c1205374579c97f706e036a9019b72a352495cd3140738dd45ad18"


def test_order_of_evaluation_has_not_changed():
    plan = batch_plan.evaluation_plan(LENGTHS, 32, WIDTH_STEP)
    assert digest(plan) == "948b1389cd5c61bd805938da43fc4c4044552c35ff6138ac45885b277b3989f8"


@pytest.mark.parametrize("reviews", [0, 1, 10, 999, 1000])
@pytest.mark.parametrize("share", [0.001, 0.08, 0.5, 0.999])
def test_held_out_reviews_are_the_given_fraction(reviews, share):
    mask = batch_plan.held_out(reviews, share)
    assert (mask.shape, mask.dtype) == ((reviews,), np.bool_)
    assert mask.sum() == round(reviews * share)


def test_held_out_reviews_have_not_changed():
    assert np.flatnonzero(batch_plan.held_out(25, 0.2)).tolist() == [4, 10, 12, 13, 21]


def test_larger_fraction_contains_the_smaller():
    small, large = batch_plan.held_out(1000, 0.08), batch_plan.held_out(1000, 0.1)
    assert (large | small).sum() == large.sum()


# Reviews of each block, and batch sizes.
BLOCKS = [([500], 32), ([64, 64, 7], 8), ([1, 1, 1, 100], 64), (list(range(1, 40)), 4)]


def block_plan(reviews=BLOCKS[3][0], batch=4, seed=0, epoch=0):
    return batch_plan.block_plan(reviews, batch, seed, epoch)


@pytest.mark.parametrize(("reviews", "batch"), BLOCKS)
def test_every_block_has_a_place(reviews, batch):
    plan = block_plan(reviews, batch)
    assert sorted(plan.order) == list(range(len(reviews)))
    assert len(plan) == sum(batch_plan.steps_per_epoch(count, batch) for count in reviews)


@pytest.mark.parametrize(("reviews", "batch"), BLOCKS)
def test_every_step_is_a_row_of_its_block(reviews, batch):
    plan = block_plan(reviews, batch)
    expected = [
        (place, row)
        for place, block in enumerate(plan.order)
        for row in range(batch_plan.steps_per_epoch(reviews[block], batch))
    ]
    assert [plan.locate(step) for step in range(len(plan))] == expected
    assert plan.locate(len(plan)) == (len(reviews), 0)


def test_blocks_have_an_order_for_every_epoch_and_seed():
    plans = [block_plan(seed=seed, epoch=epoch) for seed in range(3) for epoch in range(3)]
    assert len({tuple(plan.order) for plan in plans}) == 9


def test_block_plan_is_a_function_of_its_arguments_alone():
    assert block_plan(seed=7).order.tolist() == block_plan(seed=7).order.tolist()


def test_first_block_has_the_plan_of_a_set_of_one_block():
    plan = batch_plan.training_plan(LENGTHS, 32, WIDTH_STEP, 3, 2, block=0)
    assert digest(plan) == digest(training_plan(seed=3, epoch=2))


def test_no_block_has_the_order_of_another_or_of_another_epoch():
    plans = {
        digest(batch_plan.training_plan(LENGTHS, 32, WIDTH_STEP, 0, epoch, block))
        for epoch in range(3)
        for block in range(3)
    }
    assert len(plans) == 9


def test_order_of_blocks_has_not_changed():
    plan = block_plan(list(range(1, 13)), seed=3, epoch=2)
    assert plan.order.tolist() == [1, 6, 10, 7, 2, 11, 8, 9, 5, 0, 4, 3]


def test_a_billion_reviews_are_planned_quickly():
    blocks = batch_plan.block_plan([65_536] * 15_259, 64, seed=2**31 - 1, epoch=10**9 - 1)
    assert blocks.locate(len(blocks) - 1) == (15_258, 1023)


OTHERS = np.arange(300) * 53 % 197 + 1  # lengths of reviews without a label


def with_unlabelled(epoch=0, batch=8, seed=0):
    plan = training_plan(epoch=epoch, seed=seed)
    cut = (batch, WIDTH_STEP, seed, epoch)
    return plan, batch_plan.with_unlabelled(plan, len(LENGTHS), OTHERS, *cut)


def test_labelled_reviews_of_a_step_stay_when_others_are_read_beside_them():
    plan, both = with_unlabelled()
    assert both.ids.shape == (len(plan), 32 + 8)
    for row, alone in zip(both.ids, plan.ids, strict=True):
        np.testing.assert_array_equal(row[row < len(LENGTHS)], alone)


def test_each_review_without_a_label_is_read_before_any_is_read_again():
    epochs = [with_unlabelled(epoch)[1].ids for epoch in range(5)]
    read = [ids[ids >= len(LENGTHS)] - len(LENGTHS) for ids in epochs]
    assert [len(ids) for ids in read] == [16 * 8] * 5
    counts = np.bincount(np.concatenate(read), minlength=len(OTHERS))
    assert set(counts) == {640 // 300, 640 // 300 + 1}
    assert not np.array_equal(*(np.sort(ids) for ids in read[:2]))


def test_reviews_without_a_label_are_about_as_long_as_the_others_of_their_step():
    plan, both = with_unlabelled()
    assert (both.widths >= plan.widths).all()
    lengths = np.concatenate([LENGTHS, OTHERS])
    assert _filled(both, lengths) > 0.98 * _filled(plan, lengths)


def _filled(plan, lengths):
    """The share of token slots that are no padding."""
    tokens = np.where(plan.ids == NO_REVIEW, 0, lengths[plan.ids]).sum()
    return tokens / (plan.widths * plan.ids.shape[1]).sum()


def test_each_part_of_a_batch_has_its_share_of_reviews_without_a_label():
    _, both = with_unlabelled(batch=16)
    parts = np.split(both.ids >= len(LENGTHS), 8, axis=1)  # 6 rows each: 4 and 2
    assert all((part.sum(axis=1) == 2).all() for part in parts)


def test_order_of_reviews_without_a_label_never_changes():
    """A resumed run computes the plan again, perhaps years later."""
    _, both = with_unlabelled(epoch=3, seed=7)
    assert digest(both) == "6e0f4951308f54e6d4967f3b623dc979a5f35fad9c566178b88c9df4b43e7a3e"
