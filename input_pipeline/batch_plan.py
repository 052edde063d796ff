"""An epoch as a table: one row a step, decided before the first of them.

    plan = training_plan(lengths, batch_size=64, width_step=16, seed=0, epoch=3)
    plan.ids[step], plan.widths[step]      # the reviews of a step and the width to pad them to

A pure function of its arguments, so the position in an epoch is a step number, every review is
seen exactly once, and every replica, wherever it runs, knows the shape of each step.
"""

import dataclasses

import numpy as np

NO_REVIEW = -1


@dataclasses.dataclass(frozen=True)
class BatchPlan:
    """Rows of one epoch or evaluation."""

    # <int32>[steps, batch]: indices of reviews, NO_REVIEW where a batch isn't full.
    ids: np.ndarray
    # <int32>[steps]: words to pad each step to.
    widths: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


def steps_per_epoch(reviews: int, batch_size: int) -> int:
    """Rows in the plan of that many reviews."""
    return -(-reviews // batch_size)


def training_plan(
    lengths: np.ndarray, batch_size: int, width_step: int, seed: int, epoch: int
) -> BatchPlan:
    """Batches of random reviews of one width, in random order.

    What doesn't fill the batches of a width begins the first batch of the next, so only one batch
    of an epoch is not full. `lengths` is <int>[reviews], in words.
    """
    # NumPy may change its generators' shuffles between versions, but never the bits of Philox.
    bits = np.random.Philox(key=[seed, epoch])
    order = np.argsort(bits.random_raw(len(lengths)), kind="stable")
    widths = _round_up(lengths, width_step)
    plan = _cut(order[np.argsort(widths[order], kind="stable")], widths, batch_size)
    steps = np.argsort(bits.random_raw(len(plan)), kind="stable")
    return BatchPlan(plan.ids[steps], plan.widths[steps])


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
