"""An epoch as a table with one row a step, made before the first step.

    plan = training_plan(lengths, batch_size=64, width_step=16, seed=0, epoch=3)
    plan.ids[step], plan.widths[step]      # the reviews of a step and the width to pad them to

A plan is a pure function of its arguments. So the position in an epoch is a step number, every
review is seen exactly once, and every replica on every machine knows the shape of each step.

When memory can't hold all reviews they are split into blocks, and the plan has two levels: the
order of the blocks, for which their sizes suffice, and the table of each block.

    blocks = block_plan([65_536, 65_536, 9_000], batch_size=64, seed=0, epoch=3)
    place, row = blocks.locate(1500)       # the step is a row of block blocks.order[place]
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

NO_REVIEW = -1
_SEEDS = _EPOCHS = 2**32  # a seed and an epoch's number are below


@dataclasses.dataclass(frozen=True)
class BatchPlan:
    """The steps of one epoch or evaluation; `len` is their number."""

    # <int32>[steps, batch]: indices of reviews, NO_REVIEW where a batch isn't full.
    ids: np.ndarray
    # <int32>[steps]: tokens to pad the reviews of each step to.
    widths: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


@dataclasses.dataclass(frozen=True)
class BlockPlan:
    """The order of the blocks in one epoch; each block has its own `training_plan`.

    A block's place is its position in this order. `len` is the number of steps of all blocks.
    """

    order: np.ndarray  # <int64>[blocks]: the block at each place
    first_steps: np.ndarray  # <int64>[blocks + 1]: first step of each place; last, `len`

    def __len__(self) -> int:
        return int(self.first_steps[-1])

    def locate(self, step: int) -> tuple[int, int]:
        """Returns the place of a step's block and the step's row in the block's plan.

        For the step after the last one, the place is the number of blocks and the row is 0.
        """
        place = int(np.searchsorted(self.first_steps, step, side="right")) - 1
        return place, step - int(self.first_steps[place])


def steps_per_epoch(reviews: int, batch_size: int) -> int:
    """Returns the number of rows in the plan of `reviews` reviews."""
    return -(-reviews // batch_size)


def block_plan(reviews: Sequence[int], batch_size: int, seed: int, epoch: int) -> BlockPlan:
    """Returns a random order of blocks, of which `reviews` are the sizes.

    No batch has reviews of two blocks.
    """
    # Differs from the key of every training plan, whose first number is a seed below 2**32.
    bits = np.random.Philox(key=[seed + _SEEDS, epoch])
    order = np.argsort(bits.random_raw(len(reviews)), kind="stable")
    steps = [steps_per_epoch(reviews[block], batch_size) for block in order]
    return BlockPlan(order, np.cumsum([0, *steps], dtype=np.int64))


def training_plan(
    lengths: np.ndarray, batch_size: int, width_step: int, seed: int, epoch: int, block: int = 0
) -> BatchPlan:
    """Returns batches in random order, each of random reviews of one width.

    A review's width is its length rounded up to a multiple of `width_step`. The reviews of a width
    that don't fill a batch start the first batch of the next width, so that at most one batch of an
    epoch is not full.

    Args:
        lengths: tokens of each review, <int>[reviews].
        batch_size: reviews per step, over all replicas.
        width_step: in tokens.
        seed: a number below 2**32, as is `epoch`.
        epoch: its number; every epoch has another order.
        block: the number of the block that these reviews are, when they are not the whole set.
    """
    # Only the raw bits of Philox are guaranteed to stay the same in every version of NumPy; the
    # shuffles of its generators are not.
    bits = np.random.Philox(key=[seed, epoch + _EPOCHS * block])
    order = np.argsort(bits.random_raw(len(lengths)), kind="stable")
    widths = _round_up(lengths, width_step)
    plan = _cut(order[np.argsort(widths[order], kind="stable")], widths, batch_size)
    steps = np.argsort(bits.random_raw(len(plan)), kind="stable")
    return BatchPlan(plan.ids[steps], plan.widths[steps])


def plan_of_blocks(
    lengths: Sequence[np.ndarray], batch_size: int, width_step: int, seed: int, epoch: int
) -> BatchPlan:
    """Returns the plans of all blocks as one table, in the order of `block_plan`.

    `lengths` has for each block the tokens of its reviews, <int>[reviews]. The ids number the
    reviews of all blocks, in the order of `lengths`.
    """
    counts = [len(block) for block in lengths]
    starts = np.cumsum([0, *counts])
    ids, widths = [], []
    for block in block_plan(counts, batch_size, seed, epoch).order:
        plan = training_plan(lengths[block], batch_size, width_step, seed, epoch, int(block))
        ids.append(np.where(plan.ids == NO_REVIEW, NO_REVIEW, plan.ids + np.int32(starts[block])))
        widths.append(plan.widths)
    return BatchPlan(np.concatenate(ids), np.concatenate(widths))


def with_unlabelled(
    plan: BatchPlan,
    labelled: int,
    lengths: np.ndarray,
    batch_size: int,
    width_step: int,
    seed: int,
    epoch: int,
) -> BatchPlan:
    """Returns a plan with `batch_size` more reviews in each step, of about the step's width.

    They are reviews without a label, which come in an order of their own: each is read once before
    any is read again, however many epochs of the labelled reviews that takes. The rows of a step
    are mixed, so that each part of a batch has its share of both.

    Args:
        plan: of the labelled reviews.
        labelled: their number, which is the id of the first review without a label.
        lengths: tokens of each review without a label, <int>[reviews].
        batch_size: how many of them a step reads, over all replicas.
        width_step: in tokens.
        seed: a number below 2**32, as is `epoch`.
        epoch: its number.
    """
    wanted = len(plan) * batch_size
    ids = _endless(len(lengths), epoch * wanted, wanted, seed)
    widths = _round_up(lengths, width_step)
    rows = ids[np.argsort(widths[ids], kind="stable")].reshape(len(plan), batch_size)
    beside = np.empty_like(rows)
    beside[np.argsort(plan.widths, kind="stable")] = rows  # the widest to the widest
    both = np.concatenate([plan.ids, beside + np.int32(labelled)], axis=1)
    places = [(np.arange(size) + 0.5) / size for size in (plan.ids.shape[1], batch_size)]
    mixed = both[:, np.argsort(np.concatenate(places), kind="stable")]
    return BatchPlan(mixed, np.maximum(plan.widths, widths[beside].max(axis=1)))


def _endless(reviews: int, start: int, count: int, seed: int) -> np.ndarray:
    """Returns a part <int32>[count] of an endless row of permutations of the reviews."""
    first, last = start // reviews, (start + count - 1) // reviews
    keys = ([seed + 2 * _SEEDS, number] for number in range(first, last + 1))
    orders = [
        np.argsort(np.random.Philox(key=key).random_raw(reviews), kind="stable") for key in keys
    ]
    begin = start - first * reviews
    return np.concatenate(orders)[begin : begin + count].astype(np.int32)


def evaluation_plan(lengths: np.ndarray, batch_size: int, width_step: int) -> BatchPlan:
    """Returns batches of reviews from the shortest to the longest, which needs least padding.

    `lengths` is the tokens of each review, <int>[reviews].
    """
    order = np.argsort(lengths, kind="stable")
    return _cut(order, _round_up(lengths, width_step), batch_size)


def held_out(reviews: int, share: float) -> np.ndarray:
    """Returns which reviews of a split are not trained on, <bool>[reviews].

    A fraction `share` of them is, always the same ones for the same number of reviews.
    """
    order = np.argsort(np.random.Philox(key=[reviews, 0]).random_raw(reviews), kind="stable")
    mask = np.zeros(reviews, bool)
    mask[order[: round(reviews * share)]] = True
    return mask


def _round_up(lengths: np.ndarray, width_step: int) -> np.ndarray:
    return -(-np.asarray(lengths, np.int32) // width_step) * width_step


def _cut(order: np.ndarray, widths: np.ndarray, batch_size: int) -> BatchPlan:
    """Returns the reviews in this order, cut into rows, each as wide as its widest review."""
    steps = steps_per_epoch(len(order), batch_size)
    filled = np.full(steps * batch_size, NO_REVIEW, np.int32)
    filled[: len(order)] = order
    ids = filled.reshape(steps, batch_size)
    return BatchPlan(ids, np.where(ids == NO_REVIEW, 0, widths[ids]).max(axis=1).astype(np.int32))
