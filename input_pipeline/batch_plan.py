"""An epoch as a table: one row a step, decided before the first of them.

    plan = training_plan(lengths, batch_size=64, width_step=16, seed=0, epoch=3)
    plan.ids[step], plan.widths[step]      # the reviews of a step and the width to pad them to

A pure function of its arguments, so the position in an epoch is a step number, every review is
seen exactly once, and every replica, wherever it runs, knows the shape of each step.

Of more reviews than memory holds, the plan has two levels: the order of the blocks they are kept
in, which takes their counts alone, and the table of each block.

    blocks = block_plan([65_536, 65_536, 9_000], batch_size=64, seed=0, epoch=3)
    place, row = blocks.locate(1500)       # the step is a row of block blocks.order[place]
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

NO_REVIEW = -1
_SEEDS = _EPOCHS = 2**32  # more than there are of either


@dataclasses.dataclass(frozen=True)
class BatchPlan:
    """Rows of one epoch or evaluation."""

    # <int32>[steps, batch]: indices of reviews, NO_REVIEW where a batch isn't full.
    ids: np.ndarray
    # <int32>[steps]: words to pad each step to.
    widths: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


@dataclasses.dataclass(frozen=True)
class BlockPlan:
    """The blocks of one epoch, in their order; each has a `training_plan` of its own."""

    order: np.ndarray  # <int64>[blocks]: the block at each place
    first_steps: np.ndarray  # <int64>[blocks + 1]: of each place, and last the number of steps

    def __len__(self) -> int:
        return int(self.first_steps[-1])

    def locate(self, step: int) -> tuple[int, int]:
        """The place of a step's block, and the step's row there; at the end, one place beyond."""
        place = int(np.searchsorted(self.first_steps, step, side="right")) - 1
        return place, step - int(self.first_steps[place])


def steps_per_epoch(reviews: int, batch_size: int) -> int:
    """Rows in the plan of that many reviews."""
    return -(-reviews // batch_size)


def block_plan(reviews: Sequence[int], batch_size: int, seed: int, epoch: int) -> BlockPlan:
    """Blocks of so many reviews each in random order; no batch has reviews of two blocks."""
    # No training plan's key: those have seeds below 2**32.
    bits = np.random.Philox(key=[seed + _SEEDS, epoch])
    order = np.argsort(bits.random_raw(len(reviews)), kind="stable")
    steps = [steps_per_epoch(reviews[block], batch_size) for block in order]
    return BlockPlan(order, np.cumsum([0, *steps], dtype=np.int64))


def training_plan(
    lengths: np.ndarray, batch_size: int, width_step: int, seed: int, epoch: int, block: int = 0
) -> BatchPlan:
    """Batches of random reviews of one width, in random order.

    What doesn't fill the batches of a width begins the first batch of the next, so only one batch
    of an epoch is not full. `lengths` is <int>[reviews], in words. `block` is which one of a
    larger set these reviews are.
    """
    # NumPy may change its generators' shuffles between versions, but never the bits of Philox.
    bits = np.random.Philox(key=[seed, epoch + _EPOCHS * block])
    order = np.argsort(bits.random_raw(len(lengths)), kind="stable")
    widths = _round_up(lengths, width_step)
    plan = _cut(order[np.argsort(widths[order], kind="stable")], widths, batch_size)
    steps = np.argsort(bits.random_raw(len(plan)), kind="stable")
    return BatchPlan(plan.ids[steps], plan.widths[steps])


def plan_of_blocks(
    lengths: Sequence[np.ndarray], batch_size: int, width_step: int, seed: int, epoch: int
) -> BatchPlan:
    """Both levels in one table, whose ids count on from block to block.

    `lengths` are those of each block's reviews <int>[reviews], in words.
    """
    counts = [len(block) for block in lengths]
    starts = np.cumsum([0, *counts])
    ids, widths = [], []
    for block in block_plan(counts, batch_size, seed, epoch).order:
        plan = training_plan(lengths[block], batch_size, width_step, seed, epoch, int(block))
        ids.append(np.where(plan.ids == NO_REVIEW, NO_REVIEW, plan.ids + np.int32(starts[block])))
        widths.append(plan.widths)
    return BatchPlan(np.concatenate(ids), np.concatenate(widths))


def evaluation_plan(lengths: np.ndarray, batch_size: int, width_step: int) -> BatchPlan:
    """Batches of reviews <int>[reviews] from the shortest to the longest, the least padding."""
    order = np.argsort(lengths, kind="stable")
    return _cut(order, _round_up(lengths, width_step), batch_size)


def held_out(reviews: int, share: float) -> np.ndarray:
    """The fixed part of a split that is kept from training: <bool>[reviews]."""
    order = np.argsort(np.random.Philox(key=[reviews, 0]).random_raw(reviews), kind="stable")
    mask = np.zeros(reviews, bool)
    mask[order[: round(reviews * share)]] = True
    return mask


def _round_up(lengths: np.ndarray, width_step: int) -> np.ndarray:
    return -(-np.asarray(lengths, np.int32) // width_step) * width_step


def _cut(order: np.ndarray, widths: np.ndarray, batch_size: int) -> BatchPlan:
    """Rows of `batch_size` in this order, as wide as the widest of a row."""
    steps = steps_per_epoch(len(order), batch_size)
    ids = np.full(steps * batch_size, NO_REVIEW, np.int32)
    ids[: len(order)] = order
    ids = ids.reshape(steps, batch_size)
    return BatchPlan(ids, np.where(ids == NO_REVIEW, 0, widths[ids]).max(axis=1).astype(np.int32))
